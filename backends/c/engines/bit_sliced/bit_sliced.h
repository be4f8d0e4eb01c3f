/* Convolution of {-1, 0, 1} by {-1, 0, 1} on bits: one vector holds one bit of every pixel of a tile.
 *
 * The output pixels of the map follow one another in rows of `pitch` bytes, eight pixels a byte; a tile is a vector of
 * them. What its filter taps see of an input channel lies in windows: bits of the rows that the tile needs, one window for
 * each horizontal place of a tap (shifted, so that output pixels lie below one another), whose vertical places are the same
 * window some rows on: loads that overlap. A filter lists the windows' planes that it adds and subtracts. */
#ifndef TERCET_BIT_SLICED_H
#define TERCET_BIT_SLICED_H

#include "bit_rows.h"

#define BITS_UNROLL _Pragma("GCC unroll 32")
/* Defined where this is included: BITS_MAX_COUNTER, bits of a count, the lowest one included; BITS_BLOCK, planes that
 * are added together; BITS_STEPS, thresholds at most. */
#define BITS_SHARE 8  /* pairs of a tile and an output channel that stay on one thread */
#define BITS_CHUNK 7  /* bytes of results that are stored together, at most */

/* Taps of one phase of the map: `windows` horizontal places, `shift` pixels from the first. */
struct bits_source {
    int offset;      /* of the element that output pixel 0 sees first, */
    int row, column; /* and which pixel of the phase it is */
    int slots;       /* vertical places */
    int windows;
    const int *shifts;
};

/* Output pixels up to the row or column `end` that see the same taps. */
struct bits_span {
    int end;
    const unsigned char *columns; /* of columns: the pixels, as bits of a row */
};

/* Where the planes of a list lie: those of number n at base + n * unit, `planes` of them, `window` bytes apart. Of two the
 * first marks 1, the second 0. */
struct bits_planes {
    const unsigned char *base;
    int unit, planes, window;
};

struct bits_layer {
    struct planes in, out; /* .item of out: bytes of a result, or 4 where `finish` takes the sums */
    struct bit_rows rows_in, rows_out, rows_selector; /* of maps in rows of bits; the others have no planes there */
    int inputs, outputs;   /* channels of one group of the convolution */
    int source_count;
    const struct bits_source *sources;
    int slots, step;       /* vertical places of taps in a window, and how many rows they are apart */
    int planes;            /* of a value */
    enum bit_rows_mark marks[2];
    int tile;              /* bytes from one tile to the next: those of a vector, or a few less that are whole rows */
    int pitch, chunk;      /* bytes of a row of pixels; of those that are packed together */
    int rows;              /* of a window, at most */
    int unit, window;      /* bytes: of numbers in lists; of a window of one plane */
    int number_window, number_step; /* how inputs are listed: all planes of a window; a slot */
    /* counts */
    int counters;          /* bits */
    int doubled;           /* counts are twice a filter's, and less than all inputs' */
    int whole;             /* bits of the count of all inputs */
    int signs;             /* lists of a filter that are used */
    /* results: sum = count * scale + the record's number for the pixel's class */
    int steps;             /* thresholds per channel; 0: the sums are stored */
    struct epilogue_selector selector; /* of -1..1 */
    int scale;
    int row_spans, column_spans;
    const struct bits_span *row_ends, *column_ends;
    int64_t records, start, lists; /* offsets in the weights: of the channels' records; of what counts start with; of the
                                    * filters' lists */
};

/* Pixels [x, x + count) of row y; `at` the tile's byte that holds the first. */
struct bits_run {
    int at, y, x, count;
};

/* A tile, and where the working memory holds what; plan.py counts the same bytes. */
struct bits_tile {
    const struct tercet_task *task;
    const unsigned char *base; /* of the windows, at the tile's first byte */
    int convolution;
    int64_t first; /* pixel */
    int64_t byte;  /* of all pixels' bits */
    int bytes;
    int pixels, runs;
    int rows, row_class;  /* classes of rows: so many from the first on */
    unsigned char *start;   /* planes: bits of the count before a filter is added, the lowest one included */
    unsigned char *classes; /* planes: the pixels of each class of rows and columns */
    struct bits_run *run;
    uint16_t *all;        /* a list of all inputs */
    int32_t *sums;        /* and room for a run */
    unsigned char *windows;
};

/* What the kernel has for tiles of one width: the start of counts, and one output channel. */
struct bits_width {
    int bytes;
    void (*start)(const struct bits_tile *t);
    void (*output)(const struct bits_tile *t, int channel);
};

TERCET_INLINE void *bits_take(unsigned char **memory, int64_t bytes) {
    unsigned char *const taken = *memory;
    *memory += (bytes + 63) / 64 * 64;
    return taken;
}

TERCET_INLINE int bits_window_count(const struct bits_layer *l) {
    int count = 0;
    for (int i = 0; i < l->source_count; i++)
        count += l->sources[i].windows;
    return count * l->inputs;
}

TERCET_INLINE struct bits_planes bits_planes(const struct bits_layer *l, const struct bits_tile *t) {
    return (struct bits_planes){t->base, l->unit, l->planes, l->window};
}

/* -- from pixels to windows ---------------------------------------------------------------------------------------- */

/* The windows of a tile whose first output row is y, from bytes. */
TERCET_INLINE void bits_pack_bytes(const struct bits_layer *l, const struct bits_tile *t, int y) {
    const int needed = l->out.height + (l->slots - 1) * l->step - y, rows = needed < l->rows ? needed : l->rows;
    unsigned char *to = t->windows;
    const unsigned char *plane =
        (const unsigned char *)t->task->in[0] + (int64_t)t->convolution * l->inputs * l->in.size + (int64_t)y * l->in.pitch;
    for (int c = 0; c < l->inputs; c++, plane += l->in.size)
        for (int i = 0; i < l->source_count; i++) {
            const struct bits_source *source = &l->sources[i];
            const unsigned char *from = plane + source->offset;
            for (int row = 0; row < rows; row++, from += l->in.pitch)
                for (int at = 0; at < l->pitch; at += l->chunk)
                    BITS_UNROLL for (int p = 0; p < l->planes; p++) {
                        const uint64_t marks =
                            bit_rows_mark(from + at * 8, l->pitch <= l->chunk && l->in.pitch <= 32 ? 32 : 64, l->marks[p]);
                        unsigned char *next = to + p * l->window + row * l->pitch + at;
                        for (int w = 0; w < source->windows; w++, next += l->planes * l->window) {
                            const uint64_t shifted = marks >> source->shifts[w];
                            memcpy(next, &shifted, sizeof shifted);
                        }
                    }
            to += source->windows * l->planes * l->window;
        }
}

/* The same from rows of bits, without a stride. What lies outside of the map is 0, or -1 where bits have no 0.
 * Of two bits the second becomes a mark of what is 0. */
TERCET_INLINE void bits_pack_rows(const struct bits_layer *l, const struct bits_tile *t, int y) {
    const int needed = l->out.height + (l->slots - 1) * l->step - y, rows = needed < l->rows ? needed : l->rows;
    const struct bit_rows *map = &l->rows_in;
    const struct bits_source *source = &l->sources[0];
    const uint64_t inside = ~(uint64_t)0 >> (BIT_ROWS_RUN - map->width);
    const uint64_t turned = l->marks[l->planes - 1] == BIT_ROWS_PLUS ? 0 : ~(uint64_t)0;
    unsigned char *to = t->windows;
    const unsigned char *plane =
        (const unsigned char *)t->task->in[0] + (int64_t)t->convolution * l->inputs * l->planes * map->size;
    for (int c = 0; c < l->inputs; c++, to += source->windows * l->planes * l->window, plane += l->planes * map->size)
        for (int row = 0, from = y + source->row; row < rows; row++, from++) {
            uint64_t marks[2] = {0}; /* those that are 0 outside */
            if (from >= 0 && from < map->height) {
                BITS_UNROLL for (int p = 0; p < l->planes; p++)
                    memcpy(&marks[p], plane + p * map->size + (int64_t)from * map->pitch, sizeof marks[p]);
                marks[l->planes - 1] ^= turned;
                marks[1] |= l->planes == 2 ? marks[0] : 0;
                marks[0] &= inside, marks[1] &= inside;
            }
            BITS_UNROLL for (int p = 0; p < l->planes; p++)
                BITS_UNROLL for (int w = 0; w < source->windows; w++) {
                    const int shift = source->column + source->shifts[w];
                    uint64_t seen = shift < 0 ? marks[p] << -shift : marks[p] >> shift;
                    seen ^= p == l->planes - 1 ? turned : 0;
                    memcpy(to + (w * l->planes + p) * l->window + row * l->pitch, &seen, sizeof seen);
                }
        }
}

/* The list of all inputs, as one of a filter. */
TERCET_INLINE void bits_list_all(const struct bits_layer *l, uint16_t *list) {
    const int windows = bits_window_count(l), items = BITS_BLOCK / l->planes;
    int count = 2;
    for (int c = 0, window = 0; c < l->inputs; c++)
        for (int i = 0; i < l->source_count; i++)
            for (int w = 0; w < l->sources[i].windows; w++, window++)
                for (int slot = 0; slot < l->sources[i].slots; slot++)
                    list[count++] = (uint16_t)(window * l->number_window + slot * l->number_step);
    while ((count - 2) % items)
        list[count++] = (uint16_t)(windows * l->number_window);
    list[0] = (uint16_t)((count - 2) / items), list[1] = 0;
}

/* The runs of a tile's pixels, and the pixels of each class in planes of `width` bytes. */
TERCET_INLINE void bits_split(const struct bits_layer *l, struct bits_tile *t, int width) {
    const int classes = l->row_spans * l->column_spans;
    t->runs = t->pixels = t->rows = t->row_class = 0;
    for (int at = 0; at < t->bytes;) {
        const int y = (int)((t->byte + at) / l->pitch), begin = (int)((t->byte + at) % l->pitch), x = 8 * begin;
        int count = l->pitch - begin < t->bytes - at ? l->pitch - begin : t->bytes - at;
        count = count < BITS_CHUNK ? count : BITS_CHUNK;
        const int pixels = 8 * count < l->out.width - x ? 8 * count : l->out.width - x;
        if (pixels > 0) {
            if (t->runs == 0)
                t->first = (int64_t)y * l->out.width + x;
            t->run[t->runs++] = (struct bits_run){at, y, x, pixels};
            t->pixels += pixels;
        }
        if (classes > 1) {
            int row = 0;
            while (y >= l->row_ends[row].end)
                row++;
            t->row_class = at == 0 ? row : t->row_class;
            for (; t->rows <= row - t->row_class; t->rows++)
                memset(t->classes + t->rows * l->column_spans * width, 0, (size_t)(l->column_spans * width));
            for (int column = 0; column < l->column_spans; column++)
                memcpy(t->classes + ((row - t->row_class) * l->column_spans + column) * width + at,
                       l->column_ends[column].columns + begin, (size_t)count);
        }
        at += count;
    }
}

/* The bits of a number as words that are all ones or all zeros. */
TERCET_INLINE void bits_words(int32_t number, uint64_t *words) {
    for (int i = 0; i < BITS_MAX_COUNTER; i++)
        words[i] = 0 - (uint64_t)((uint32_t)number >> i & 1);
}

/* -- the layer ----------------------------------------------------------------------------------------------------- */

/* The layer. whole, last: for tiles of whole vectors, and for what is left after them. Parts share pairs of a tile and a
 * channel, tile by tile. */
TERCET_INLINE void bits_conv(const struct bits_layer *l, const struct tercet_task *task, const struct bits_width whole,
                             const struct bits_width last, int finished) {
    const int channels = l->out.channels, windows = bits_window_count(l);
    const int64_t bytes = (int64_t)l->out.height * l->pitch;
    const int64_t tiles = (bytes + l->tile - 1) / l->tile;
    unsigned char *memory = task->scratch;
    struct bits_tile t = {.task = task};
    const int64_t filled = (int64_t)windows * l->planes * l->window;
    const int64_t zeros = l->planes * l->window + TERCET_VECTOR_BYTES + l->rows * l->pitch;
    t.windows = bits_take(&memory, filled + zeros);
    t.start = bits_take(&memory, BITS_MAX_COUNTER * TERCET_VECTOR_BYTES);
    t.classes = bits_take(&memory, (int64_t)l->row_spans * l->column_spans * TERCET_VECTOR_BYTES);
    t.run = bits_take(&memory, TERCET_VECTOR_BYTES * (int64_t)sizeof *t.run);
    t.all = bits_take(&memory, ((int64_t)windows * l->slots + BITS_BLOCK + 2) * 2);
    t.sums = (int32_t *)memory;
    memset(t.windows + filled, 0, (size_t)zeros);
    if (l->doubled)
        bits_list_all(l, t.all);
    int64_t item, end;
    tercet_share(task, channels, 1, &item, &end);
    if (!finished && !l->rows_out.planes)
        planes_clear_borders(&l->out, task->out[0], bit_rows_gap(&l->out) || l->out.pitch == l->out.width ? l->out.pitch : -1,
                             item, end);
    tercet_share_tiles(task, tiles * channels, BITS_SHARE, channels, &item, &end);
    while (item < end) {
        const int64_t tile = item / channels, first = tile * l->tile, left = bytes - first;
        const int64_t next = item + l->outputs - item % channels % l->outputs, stop = next < end ? next : end;
        const struct bits_width *width = tile + 1 < tiles ? &whole : &last;
        const int y = (int)(first / l->pitch);
        t.convolution = (int)(item % channels / l->outputs), t.byte = first;
        t.base = t.windows + first % l->pitch;
        t.bytes = left < l->tile ? (int)left : l->tile;
        bits_split(l, &t, width->bytes);
        if (l->rows_in.planes)
            bits_pack_rows(l, &t, y);
        else
            bits_pack_bytes(l, &t, y);
        width->start(&t);
        for (; item < stop; item++)
            width->output(&t, (int)(item % channels));
    }
}

#endif
