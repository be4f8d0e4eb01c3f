/* Products of activations and weights of few values by adding, output by output in lanes, the weights of the inputs that are
 * not zero. What is added how: active_adders.h.
 *
 * The inputs of a pixel are listed once and serve all filter taps that see it. The weights of one tap and a chunk of
 * channels stay in L1 while the pixels of a band pass by, whose counters wait in memory meanwhile. Taps in the padding
 * are left out: zeros there are exact. */
#ifndef TERCET_ACTIVE_INPUTS_H
#define TERCET_ACTIVE_INPUTS_H

#include "active_adders.h"

/* Outputs [begin, end) of an axis see the same filter taps. */
struct active_span {
    int begin, end;
};

/* Where results go. LEVELS: bits of task->out[0]; UNPACKED: levels as bytes, by way of scratch; CHANNELS: sums to `finish`,
 * pixels of one channel together; ROWS: sums to `finish`, channels of one pixel together. */
enum active_results { ACTIVE_LEVELS, ACTIVE_UNPACKED, ACTIVE_CHANNELS, ACTIVE_ROWS };

/* What v, ones less minus ones of the inputs that a pixel sees, says of its sums: nothing; that counts start at -v; that they
 * start at -v / 2, rounded down, and that sums are twice the counts, and one more where v is odd. */
enum active_starts { ACTIVE_ZERO, ACTIVE_WHOLE, ACTIVE_HALF };

struct active_layer {
    int images, height, width, out_height, out_width;
    int stride_y, stride_x, dilation_y, dilation_x, top, left;
    int kernel_height, kernel_width;
    int words;                /* of one plane of the input's pixels */
    int chunk, chunks;        /* words of channels whose weights stay in L1 */
    int channels;
    int outputs, blocks;
    int step;                 /* words of an input's weights */
    enum active_starts starts;
    int row_spans, column_spans;
    const struct active_span *rows, *columns;
    int classes;              /* whether bases and limits depend on the taps that a pixel sees */
    int most, items;          /* pixels of a band; room for one list */
    int choices, first_choice, selector_operand;
    int odd;                  /* what an odd v adds to sums */
    struct bit_map selector, out; /* of levels */
    struct planes bytes;      /* UNPACKED: the map */
    int64_t weights, limits, codes, base, factor;              /* byte offsets of constants */
    int64_t counters, lists, differences, starting, sums, bits; /* and in scratch */
};

typedef void active_add_function(uint64_t *counter, const uint64_t *weights, const uint16_t *list);

/* Output pixels [begin, end) of an image, row by row, and the rectangle of inputs that they see. */
struct active_band {
    int64_t image, begin, end;
    int y, y_end, x, x_end;
};

/* Outputs o of [begin, end) whose input o * stride + offset lies in [0, size). */
TERCET_INLINE void active_inside(int *begin, int *end, int stride, int offset, int size) {
    const int first = offset < 0 ? (-offset + stride - 1) / stride : 0, last = (size - 1 - offset) / stride + 1;
    *begin = first > *begin ? first : *begin;
    *end = size - 1 < offset ? *begin : last < *end ? last : *end;
}

/* The part [begin, end) of the band that lies in output row y. */
TERCET_INLINE void active_row(const struct active_layer *l, const struct active_band *band, int y, int *begin, int *end) {
    const int64_t first = band->begin - (int64_t)y * l->out_width, last = band->end - (int64_t)y * l->out_width;
    *begin = first > 0 ? (int)first : 0;
    *end = last < l->out_width ? (int)last : l->out_width;
}

TERCET_INLINE struct active_band active_band(const struct active_layer *l, int64_t image, int64_t begin, int64_t end) {
    struct active_band band = {.image = image, .begin = begin, .end = end};
    const int first = (int)(begin / l->out_width), last = (int)((end - 1) / l->out_width);
    band.y = first * l->stride_y - l->top;
    band.y_end = last * l->stride_y - l->top + (l->kernel_height - 1) * l->dilation_y + 1;
    band.x = 0, band.x_end = l->width;
    if (first == last) {
        band.x = (int)(begin % l->out_width) * l->stride_x - l->left;
        band.x_end = (int)((end - 1) % l->out_width) * l->stride_x - l->left + (l->kernel_width - 1) * l->dilation_x + 1;
    }
    band.y = band.y > 0 ? band.y : 0, band.x = band.x > 0 ? band.x : 0;
    band.y_end = band.y_end < l->height ? band.y_end : l->height;
    band.x_end = band.x_end < l->width ? band.x_end : l->width;
    return band;
}

/* Words of the weights of a tap for the chunks before `chunk`; each chunk ends with an input of no weights. */
TERCET_INLINE int64_t active_before(const struct active_layer *l, int chunk) {
    const int channels = chunk * l->chunk * 64;
    return ((int64_t)(channels < l->channels ? channels : l->channels) + chunk) * l->step;
}

/* The lists of all inputs that a band sees, and their differences. */
TERCET_INLINE void active_lists(const struct active_layer *l, const struct active_band *band, const uint64_t *map,
                                uint16_t *lists, int32_t *differences, const int planes, const int two) {
    for (int y = band->y; y < band->y_end; y++)
        for (int x = band->x; x < band->x_end; x++, differences++) {
            const uint64_t *bits = map + ((int64_t)y * l->width + x) * l->words * planes;
            *differences = 0;
            for (int chunk = 0; chunk < l->chunks; chunk++, lists += l->items) {
                const int first = chunk * l->chunk, rest = l->words - first;
                const int64_t size = active_before(l, chunk + 1) - active_before(l, chunk);
                *differences += active_list(lists, bits + first * planes, rest < l->chunk ? rest : l->chunk, planes,
                                            (unsigned)l->step, (unsigned)(size - l->step),
                                            two ? ACTIVE_BLOCK / 2 : ACTIVE_BLOCK);
            }
        }
}

/* For every pixel of a band: ones less minus ones of the inputs that it sees. */
TERCET_INLINE void active_count(const struct active_layer *l, const struct active_band *band, const int32_t *differences,
                                int32_t *starting) {
    memset(starting, 0, (size_t)(band->end - band->begin) * sizeof *starting);
    if (l->starts == ACTIVE_ZERO)
        return;
    for (int y = (int)(band->begin / l->out_width); (int64_t)y * l->out_width < band->end; y++)
        for (int ky = 0; ky < l->kernel_height; ky++) {
            const int row = y * l->stride_y - l->top + ky * l->dilation_y;
            if (row < 0 || row >= l->height)
                continue;
            for (int kx = 0; kx < l->kernel_width; kx++) {
                int x, end;
                active_row(l, band, y, &x, &end);
                active_inside(&x, &end, l->stride_x, kx * l->dilation_x - l->left, l->width);
                const int32_t *from = differences + (int64_t)(row - band->y) * (band->x_end - band->x) - band->x +
                                      kx * l->dilation_x - l->left;
                for (; x < end; x++)
                    starting[(int64_t)y * l->out_width + x - band->begin] += from[x * l->stride_x];
            }
        }
}

/* Adds a tap's weights for the inputs of one chunk to the counters of all pixels of a band. */
TERCET_INLINE void active_tap(const struct active_layer *l, const struct active_band *band, const uint64_t *weights,
                              const uint16_t *lists, uint64_t *counters, int ky, int kx, int chunk,
                              active_add_function *const add, const int counter_words) {
    const int offset = kx * l->dilation_x - l->left;
    const int64_t pitch = (int64_t)l->chunks * l->items;
    for (int y = (int)(band->begin / l->out_width); (int64_t)y * l->out_width < band->end; y++) {
        const int row = y * l->stride_y - l->top + ky * l->dilation_y;
        if (row < 0 || row >= l->height)
            continue;
        int x, end;
        active_row(l, band, y, &x, &end);
        active_inside(&x, &end, l->stride_x, offset, l->width);
        const uint16_t *list = lists + ((int64_t)(row - band->y) * (band->x_end - band->x) - band->x) * pitch +
                               chunk * l->items;
        uint64_t *counter = counters + ((int64_t)y * l->out_width - band->begin) * counter_words;
        for (; x < end; x++)
            add(counter + (int64_t)x * counter_words, weights, list + (x * l->stride_x + offset) * pitch);
    }
}

/* The class of an output pixel: which filter taps it sees. */
TERCET_INLINE int active_class(const struct active_layer *l, int64_t pixel) {
    int row = 0, column = 0;
    if (!l->classes)
        return 0;
    while (pixel / l->out_width >= l->rows[row].end)
        row++;
    while (pixel % l->out_width >= l->columns[column].end)
        column++;
    return row * l->column_spans + column;
}

/* Levels of a block of outputs for a band. bits: the band's first pixel. */
TERCET_INLINE void active_finish_levels(const struct tercet_task *task, const struct active_layer *l,
                                        const struct active_band *band, int block, const uint64_t *counters,
                                        const int32_t *starting, uint64_t *bits, const int counter_bits,
                                        const int two, const int thresholds, const int planes) {
    const int rest = l->out.words - block * ACTIVE_WORDS, count = rest < ACTIVE_WORDS ? rest : ACTIVE_WORDS;
    const int64_t size = (int64_t)l->choices * thresholds * counter_bits * ACTIVE_WORDS; /* of a block's limits */
    const int odds = l->starts == ACTIVE_HALF ? 2 : 1;
    const uint64_t *codes = (const uint64_t *)(task->weights + l->codes) +
                            (int64_t)block * planes * (thresholds + 1) * ACTIVE_WORDS;
    for (int64_t i = 0; i < band->end - band->begin; i++) {
        const int64_t pixel = band->begin + i, row = active_class(l, pixel) * odds + (starting[i] & (odds - 1));
        const uint64_t *from = NULL;
        if (l->choices > 1)
            from = (const uint64_t *)task->in[l->selector_operand] +
                   (band->image * l->out_height * l->out_width + pixel) * bit_map_pixel(&l->selector) +
                   (int64_t)block * ACTIVE_WORDS * l->selector.planes;
        active_levels(counters + i * active_counter_words(counter_bits, two),
                      (const uint64_t *)(task->weights + l->limits) + (row * l->blocks + block) * size, codes,
                      bits + i * bit_map_pixel(&l->out) + (int64_t)block * ACTIVE_WORDS * planes, count, counter_bits,
                      thresholds, planes, l->choices, &l->selector, from, l->first_choice);
    }
}

/* Levels of blocks [begin, end) of a band, from bits in scratch to bytes. */
TERCET_INLINE void active_unpack(const struct tercet_task *task, const struct active_layer *l,
                                 const struct active_band *band, const uint64_t *bits, int64_t begin, int64_t end) {
    const int64_t channels = l->out.channels, count = band->end - band->begin;
    const int all = (l->out.channels + 7) / 8, octet = (int)begin * ACTIVE_BYTES;
    const int last = end * ACTIVE_BYTES < all ? (int)end * ACTIVE_BYTES : all;
    unsigned char *out = task->out[0];
    if (l->bytes.size > 1) {
        bit_map_unpack(&l->out, &l->bytes, out, band->image * channels, bits, 0, octet, last, band->begin, count);
        return;
    }
    for (int64_t i = 0; i < count; i++) /* the channels of a pixel are neighbours */
        bit_map_unpack_pixel(&l->out, out + (band->image + band->begin + i) * channels, bits + i * bit_map_pixel(&l->out),
                             0, octet, last);
}

/* Sums of a block of outputs for a band, to `finish`. */
TERCET_INLINE void active_finish_sums(const struct tercet_task *task, const struct active_layer *l,
                                      const struct active_band *band, int block, const uint64_t *counters,
                                      const int32_t *starting, int32_t *sums, epilogue_finish *const finish,
                                      const int counter_bits, const int two, const enum active_results results) {
    const int lanes = ACTIVE_BYTES * 8, first = block * lanes, pitch = l->most + ACTIVE_SPARE;
    const int outputs = l->outputs - first < lanes ? l->outputs - first : lanes, count = (int)(band->end - band->begin);
    const int32_t *factor = (const int32_t *)(task->weights + l->factor) + first;
    for (int begin = 0; begin < outputs; begin += ACTIVE_RUN) {
        const int size = outputs - begin < ACTIVE_RUN ? outputs - begin : ACTIVE_RUN;
        for (int i = 0; i < count; i++) {
            const int32_t *base = (const int32_t *)(task->weights + l->base) + first +
                                  (int64_t)active_class(l, band->begin + i) * l->blocks * lanes;
            int32_t own[ACTIVE_RUN + ACTIVE_SPARE];
            active_sums(counters + i * active_counter_words(counter_bits, two), begin, base + begin, factor + begin,
                        l->odd * (starting[i] & 1), own, counter_bits);
            if (results == ACTIVE_ROWS)
                finish(task, band->begin + i, first + begin, size, own);
            else
                for (int k = 0; k < size; k++)
                    sums[k * pitch + i] = own[k];
        }
        for (int k = 0; results == ACTIVE_CHANNELS && k < size; k++)
            finish(task, band->image * l->outputs + first + begin + k, band->begin, count, sums + k * pitch);
    }
}

/* Parts share the pixels of an image or, where it has only one, blocks of outputs. planes: of activations; thresholds,
 * out_planes: of levels. */
TERCET_INLINE void active_product(const struct tercet_task *task, const struct active_layer *l,
                                  active_add_function *const add, epilogue_finish *const finish, const int counter_bits,
                                  const int planes, const int two, const int thresholds, const int out_planes,
                                  const enum active_results results) {
    const int64_t all = (int64_t)l->out_height * l->out_width;
    int64_t pixels[2] = {0, 1}, blocks[2] = {0, l->blocks};
    if (all > 1)
        tercet_share(task, all, 1, &pixels[0], &pixels[1]);
    else
        tercet_share(task, l->blocks, 1, &blocks[0], &blocks[1]);
    unsigned char *scratch = task->scratch;
    uint64_t *const counters = (uint64_t *)(scratch + l->counters);
    uint16_t *const lists = (uint16_t *)(scratch + l->lists);
    int32_t *const differences = (int32_t *)(scratch + l->differences), *const starting = (int32_t *)(scratch + l->starting);
    const int64_t counter_words = active_counter_words(counter_bits, two), taps = l->kernel_height * l->kernel_width;
    for (int64_t image = 0; image < l->images; image++)
        for (int64_t begin = pixels[0]; begin < pixels[1]; begin += l->most) {
            const int64_t end = begin + l->most < pixels[1] ? begin + l->most : pixels[1], count = end - begin;
            const struct active_band band = active_band(l, image, begin, end);
            const uint64_t *map = (const uint64_t *)task->in[0] + image * l->height * l->width * l->words * planes;
            uint64_t *bits = (uint64_t *)(scratch + l->bits);
            if (results == ACTIVE_LEVELS)
                bits = (uint64_t *)task->out[0] + (image * all + begin) * bit_map_pixel(&l->out);
            active_lists(l, &band, map, lists, differences, planes, two);
            active_count(l, &band, differences, starting);
            for (int block = (int)blocks[0]; block < blocks[1]; block++) {
                const int half = l->starts == ACTIVE_HALF;
                for (int64_t i = 0; i < count; i++)
                    active_start(counters + i * counter_words,
                                 ((int64_t)1 << (counter_bits - 1)) - (half ? (starting[i] + 1) >> 1 : starting[i]),
                                 counter_bits, two);
                for (int chunk = 0; chunk < l->chunks; chunk++) {
                    const int64_t size = active_before(l, chunk + 1) - active_before(l, chunk);
                    const uint64_t *weights = (const uint64_t *)(task->weights + l->weights) +
                                              taps * (block * active_before(l, l->chunks) + active_before(l, chunk));
                    for (int ky = 0; ky < l->kernel_height; ky++)
                        for (int kx = 0; kx < l->kernel_width; kx++, weights += size)
                            active_tap(l, &band, weights, lists, counters, ky, kx, chunk, add, (int)counter_words);
                }
                for (int64_t i = 0; i < count; i++)
                    active_join(counters + i * counter_words, counter_bits, two);
                if (results == ACTIVE_LEVELS || results == ACTIVE_UNPACKED)
                    active_finish_levels(task, l, &band, block, counters, starting, bits, counter_bits, two, thresholds,
                                         out_planes);
                else
                    active_finish_sums(task, l, &band, block, counters, starting, (int32_t *)(scratch + l->sums), finish,
                                       counter_bits, two, results);
            }
            if (results == ACTIVE_UNPACKED)
                active_unpack(task, l, &band, bits, blocks[0], blocks[1]);
        }
}

#endif
