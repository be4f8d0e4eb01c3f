/* Digits of weights are unpacked or decoded block by block, signs and gaps are put back, and groups of them become
 * bytes. */
#include "tercet_weights.h"
#include "tercet_forms.h"

#include <stdlib.h>

/* As in backends/c/coding.py. */
enum { PRECISION = 12, LOWEST = 1 << 16, WORD = 16, MOST_LANES = 256, MOST_RADIX = 256, BLOCK = 4096 };

/* The stored bytes of a section that are not read yet; decoding them, when they are coded. */
struct reader {
    const unsigned char *next, *end;
    unsigned radix;
    int coded, per_byte;
    unsigned lanes, lane;
    uint32_t states[MOST_LANES];
    uint16_t start[MOST_RADIX], frequency[MOST_RADIX];
    uint8_t symbols[1 << PRECISION];
};

/* The digits of a section on their way to the weights. gap: the first of a group, `gaps` of them are still to come; left:
 * stored digits before the gap that is `item` gaps after it. */
struct writer {
    unsigned char *next;
    unsigned base, offset;
    int group, taken;
    unsigned sum, power;
    const struct tercet_gap *gap;
    int gaps, item, round, repeat;
    int64_t left;
    uint8_t filling[64];
};

static int digits_per_byte(unsigned radix) {
    int count = 1;
    for (unsigned power = radix; count < 8 && power * radix <= 256; power *= radix) {
        count++;
    }
    return count;
}

static int has(const struct reader *reader, int64_t bytes) { return reader->end - reader->next >= bytes; }

static uint32_t take(struct reader *reader, int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint32_t)*reader->next++ << 8 * i;
    }
    return value;
}

/* Reads what comes before the words of a coded stream. 0 when it is not one. */
static int begin_coded(struct reader *reader) {
    const int64_t bitmap = (reader->radix + 7) / 8;
    if (!has(reader, 1 + bitmap) || *reader->next > 8) {
        return 0;
    }
    reader->lanes = 1u << take(reader, 1);
    const unsigned char *present = reader->next;
    reader->next += bitmap;
    unsigned sum = 0;
    for (unsigned digit = 0; digit < reader->radix; digit++) {
        if (!(present[digit / 8] >> digit % 8 & 1)) {
            continue;
        }
        if (!has(reader, 2)) {
            return 0;
        }
        uint32_t frequency = take(reader, 2);
        if (frequency > (1u << PRECISION) - sum) {
            return 0;
        }
        reader->start[digit] = (uint16_t)sum;
        reader->frequency[digit] = (uint16_t)frequency;
        memset(reader->symbols + sum, (int)digit, frequency); /* sum + frequency is at most their number */
        sum += frequency;
    }
    if (sum != 1u << PRECISION || !has(reader, 4 * (int64_t)reader->lanes)) {
        return 0;
    }
    for (unsigned lane = 0; lane < reader->lanes; lane++) {
        reader->states[lane] = take(reader, 4);
    }
    return 1;
}

/* The next `count` digits. 0 when the stream ends too early. */
static int decode(struct reader *reader, uint8_t *digits, int count) {
    const uint32_t mask = (1u << PRECISION) - 1;
    const unsigned char *next = reader->next, *end = reader->end;
    unsigned lane = reader->lane;
    for (int i = 0; i < count; i++) {
        uint32_t state = reader->states[lane], slot = state & mask;
        uint8_t digit = reader->symbols[slot];
        state = reader->frequency[digit] * (state >> PRECISION) + slot - reader->start[digit];
        if (state < LOWEST) {
            if (end - next < WORD / 8) {
                return 0;
            }
            state = state << WORD | (uint32_t)next[1] << 8 | next[0];
            next += WORD / 8;
        }
        reader->states[lane] = state;
        lane = (lane + 1) & (reader->lanes - 1);
        digits[i] = digit;
    }
    reader->next = next;
    reader->lane = lane;
    return 1;
}

/* The same for packed digits; every block but the last ends where a byte does, see block_digits. */
static int unpack(struct reader *reader, uint8_t *digits, int count) {
    const int per_byte = reader->per_byte;
    if (!has(reader, (count + per_byte - 1) / per_byte)) {
        return 0;
    }
    if (per_byte == 1) {
        memcpy(digits, reader->next, (size_t)count);
        reader->next += count;
        return 1;
    }
    for (int i = 0; i < count; i += per_byte) {
        unsigned value = *reader->next++;
        for (int d = i; d < i + per_byte && d < count; d++) {
            digits[d] = (uint8_t)(value % reader->radix);
            value /= reader->radix;
        }
    }
    return 1;
}

static int block_digits(const struct reader *reader) { return BLOCK / reader->per_byte * reader->per_byte; }

/* Turns the digits 0 and 1 of one span, `count` of them from its digit `at` on, into trits; run by run. */
static int restore_signs(const struct tercet_section *section, const unsigned char *signs,
                         const struct tercet_span *span, int64_t at, uint8_t *digits, int64_t count) {
    const uint8_t zero = section->offset == 0 ? 0 : 1;
    while (count > 0) {
        int64_t run = at / span->run, part = span->run - at % span->run;
        int64_t filter = span->first + run / (span->rows * span->repeats) * span->rows + run % span->rows;
        if (filter >= 8 * section->signs) {
            return 0;
        }
        const uint8_t other = (uint8_t)((zero + (signs[filter / 8] >> filter % 8 & 1 ? 2 : 1)) % 3);
        part = part < count ? part : count;
        for (int64_t i = 0; i < part; i++) {
            digits[i] = digits[i] ? other : zero;
        }
        at += part;
        digits += part;
        count -= part;
    }
    return 1;
}

static void write_digits(struct writer *writer, const uint8_t *digits, int count) {
    if (writer->group == 1) {
        for (int i = 0; i < count; i++) {
            writer->next[i] = (unsigned char)(digits[i] + writer->offset);
        }
        writer->next += count;
        return;
    }
    for (int i = 0; i < count; i++) {
        writer->sum += digits[i] * writer->power;
        writer->power *= writer->base;
        if (++writer->taken == writer->group) {
            *writer->next++ = (unsigned char)(writer->sum + writer->offset);
            writer->sum = 0;
            writer->power = 1;
            writer->taken = 0;
        }
    }
}

static void next_gap(struct writer *writer) {
    if (++writer->repeat == writer->gap[writer->item].repeats) {
        writer->repeat = 0;
        if (++writer->item == writer->gap->items) {
            writer->item = 0;
            if (++writer->round == writer->gap->rounds) {
                writer->round = 0;
                writer->gaps -= writer->gap->items;
                writer->gap += writer->gap->items;
            }
        }
    }
    writer->left = writer->gaps == 0 ? INT64_MAX : writer->gap[writer->item].keep;
}

static struct writer begin_writing(const struct tercet_section *section, unsigned char *expanded) {
    struct writer writer = {
        .next = expanded,
        .base = (unsigned)section->base,
        .offset = (unsigned)section->offset,
        .group = section->group,
        .power = 1,
        .gap = section->gaps,
        .gaps = section->gap_count,
        .left = section->gap_count > 0 ? section->gaps->keep : INT64_MAX,
    };
    memset(writer.filling, section->fill, sizeof(writer.filling));
    return writer;
}

/* Writes stored digits, and the gaps before and after them. */
static void write_stored(struct writer *writer, const uint8_t *digits, int count) {
    for (;;) {
        while (writer->left == 0) {
            int64_t skip = writer->gap[writer->item].skip;
            for (int64_t part; skip > 0; skip -= part) {
                part = skip < (int64_t)sizeof(writer->filling) ? skip : (int64_t)sizeof(writer->filling);
                write_digits(writer, writer->filling, (int)part);
            }
            next_gap(writer);
        }
        if (count == 0) {
            return;
        }
        const int part = count < writer->left ? count : (int)writer->left;
        write_digits(writer, digits, part);
        writer->left -= part;
        digits += part;
        count -= part;
    }
}

/* How many digits of a section gaps skip; -1 where they make no sense. */
static int64_t skipped_digits(const struct tercet_section *section) {
    int64_t left = section->count, skipped = 0;
    for (int first = 0; first < section->gap_count;) {
        const struct tercet_gap *group = &section->gaps[first];
        if (group->items < 1 || group->items > section->gap_count - first || group->rounds < 1) {
            return -1;
        }
        int64_t length = 0, skip = 0;
        for (const struct tercet_gap *gap = group; gap < group + group->items; gap++) {
            const int64_t both = (int64_t)gap->keep + gap->skip;
            if (gap->keep < 0 || gap->skip < 0 || both < 1 || gap->repeats < 1 || gap->repeats > left / both) {
                return -1;
            }
            length += both * gap->repeats;
            skip += (int64_t)gap->skip * gap->repeats;
            if (length > left) {
                return -1;
            }
        }
        if (group->rounds > left / length) {
            return -1;
        }
        left -= length * group->rounds;
        skipped += skip * group->rounds;
        first += group->items;
    }
    return skipped;
}

static int expand_section(const struct tercet_section *section, const unsigned char *stored, unsigned char *expanded,
                          struct reader *reader) {
    const int is_signed = section->span_count > 0;
    const int64_t skipped = skipped_digits(section);
    if (skipped < 0 || (is_signed && (section->base != 3 || section->signs > section->bytes))) {
        return 0;
    }
    memset(reader, 0, sizeof(*reader));
    reader->next = stored + (is_signed ? section->signs : 0);
    reader->end = stored + section->bytes;
    reader->radix = is_signed ? 2 : (unsigned)section->radix;
    reader->coded = section->coded;
    reader->per_byte = digits_per_byte(reader->radix);
    if (section->coded && !begin_coded(reader)) {
        return 0;
    }
    struct writer writer = begin_writing(section, expanded);
    const int64_t stored_count = section->count - skipped;
    int span = 0;
    int64_t at = 0; /* in that span */
    uint8_t digits[BLOCK];
    write_stored(&writer, digits, 0);
    for (int64_t done = 0; done < stored_count;) {
        int64_t left = stored_count - done;
        int count = left < block_digits(reader) ? (int)left : block_digits(reader);
        if (!(section->coded ? decode(reader, digits, count) : unpack(reader, digits, count))) {
            return 0;
        }
        for (int from = 0; is_signed && from < count;) {
            if (span == section->span_count) {
                return 0;
            }
            int64_t rest = section->spans[span].count - at, part = rest < count - from ? rest : count - from;
            if (!restore_signs(section, stored, &section->spans[span], at, digits + from, part)) {
                return 0;
            }
            from += (int)part;
            at += part;
            if (at == section->spans[span].count) {
                span++;
                at = 0;
            }
        }
        write_stored(&writer, digits, count);
        done += count;
    }
    if (writer.taken > 0) {
        *writer.next = (unsigned char)(writer.sum + writer.offset);
    }
    if (section->split > 0) {
        tercet_split_trits(expanded, section->count / 64, section->split);
    }
    return reader->next == reader->end;
}

/* The same for a section whose digits, one in a byte, become lists. */
static int expand_lists(const struct tercet_section *section, const unsigned char *stored, unsigned char *expanded,
                        struct reader *reader, int *status) {
    unsigned char *digits = malloc((size_t)section->count + 1);
    int good = digits != NULL;
    if (!good) {
        *status = TERCET_NO_MEMORY;
    }
    good = good && expand_section(section, stored, digits, reader) &&
           tercet_make_lists(section->lists, digits, section->count, expanded);
    free(digits);
    return good;
}

/* Whether a section's numbers make sense and its bytes fit the weights. */
static int section_fits(const struct tercet_section *section, int64_t weight_bytes) {
    if (section->radix < 2 || section->radix > MOST_RADIX || section->group < 1 || section->count < 0 ||
        section->stored < 0 || section->bytes < 0 || section->expanded < 0 || section->signs < 0 ||
        section->base < 2 || section->base > MOST_RADIX || section->fill < 0 || section->fill >= section->base) {
        return 0;
    }
    if (section->split < 0 || section->split > TERCET_MOST_SPLIT ||
        (section->split > 0 && (section->base != 4 || section->group != 4 || section->count % (64 * section->split)))) {
        return 0;
    }
    for (int i = 0; i < section->span_count; i++) {
        const struct tercet_span *span = &section->spans[i];
        const int64_t most = 1 << 30;
        if (span->count < 1 || span->first < 0 || span->rows < 1 || span->run < 1 || span->repeats < 1 ||
            span->first > most || span->rows > most || span->repeats > most) {
            return 0;
        }
    }
    int64_t bytes = section->count / section->group + (section->count % section->group != 0);
    if (section->lists != NULL) {
        if (section->group != 1 || section->offset != 0 || !tercet_lists_fit(section->lists, section->count)) {
            return 0;
        }
        bytes = section->lists->bytes;
    }
    return section->expanded <= weight_bytes && bytes <= weight_bytes - section->expanded;
}

int tercet_expand_weights(const struct tercet_definition *definition, unsigned char *weights) {
    struct reader *reader = malloc(sizeof(*reader));
    int status = reader ? TERCET_OK : TERCET_NO_MEMORY;
    for (int i = 0; i < definition->section_count && status == TERCET_OK; i++) {
        const struct tercet_section *section = &definition->sections[i];
        const unsigned char *stored = definition->blob + section->stored;
        int good = section_fits(section, definition->weight_bytes), failed = TERCET_BAD_ARGUMENT;
        if (good && section->lists != NULL) {
            good = expand_lists(section, stored, weights + section->expanded, reader, &failed);
        } else if (good) {
            good = expand_section(section, stored, weights + section->expanded, reader);
        }
        if (!good) {
            status = failed;
        }
    }
    free(reader);
    return status;
}
