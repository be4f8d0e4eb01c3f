/* The runtime inside every compiled model: what the generated model.c describes, and the functions it wraps. */
#ifndef TERCET_RUNTIME_H
#define TERCET_RUNTIME_H

#include "tercet_kernel.h"

/* Where a value lives: in the arena at byte `offset`, or in input or output number `offset`. A caller's inputs and
 * outputs are copied to and from buffers of the model, so these too are 64-byte aligned and have a readable tail. */
enum tercet_place { TERCET_ARENA, TERCET_INPUT, TERCET_OUTPUT };
struct tercet_buffer {
    enum tercet_place place;
    int64_t offset;
};

/* One kernel call. `weights` is the byte offset of its constants in the expanded weights. parallel = 0: the step is one
 * part, run by the caller alone. */
struct tercet_step {
    void (*run)(const struct tercet_task *task);
    const struct tercet_buffer *in, *out;
    int inputs, outputs;
    int64_t weights;
    int parallel;
};

/* Which filters `count` digits belong to: digit i to first + i / (run * rows * repeats) * rows + i / run % rows. */
struct tercet_span {
    int64_t count, first, rows, run, repeats;
};

/* `repeats` times `keep` digits that are stored and `skip` that are not. This gap and those after it, `items` in all, are
 * gone through `rounds` times before the next one (backends/c/gaps.py). */
struct tercet_gap {
    int32_t keep, skip, repeats, items, rounds;
};

/* Lists that digits become at load (backends/c/lists.py, Lists), `bytes` in all. */
struct tercet_lists {
    int64_t bytes, length, run, pitch, step;
    int block;
};

/* One constant: `count` digits, stored below `radix` in `bytes` bytes of the blob from byte `stored` on. Every `group`
 * digits, as a number to the base `base`, become one byte, from byte `expanded` of the weights on; see
 * backends/c/engine.py, Constant. coded: the digits are entropy-coded (backends/c/coding.py); otherwise as many as fit are
 * packed into each byte. With spans, the first `signs` bytes hold one bit a filter, and the digits that follow, of radix 2,
 * tell zeros (0) from the filter's other trit. Digits that gaps skip are not stored: they are `fill`. split, where not 0:
 * the trits, four in a byte, become bits: of every 64 * split trits, a word for each 64 that says which are not 0, and
 * after those a word for each 64 that says which are 2. lists, where not NULL: the digits become lists. */
struct tercet_section {
    int64_t stored, bytes, expanded, count;
    int radix, group, offset, coded;
    int64_t signs;
    const struct tercet_span *spans;
    int span_count;
    int base, fill;
    const struct tercet_gap *gaps;
    int gap_count, split;
    const struct tercet_lists *lists;
};

struct tercet_definition {
    const struct tercet_step *steps;
    int step_count;
    const struct tercet_section *sections;
    int section_count;
    const unsigned char *blob;
    int64_t weight_bytes, arena_bytes, scratch_bytes; /* expanded weights; arena; scratch of one thread */
    const int64_t *input_bytes, *output_bytes;        /* of one sample */
    int input_count, output_count;
    int batched; /* 0: batch must be 1 */
    const char *const *features; /* of the CPU, that the steps need; see tercet_cpu.h */
    const char *target;          /* the name of what the steps were compiled for */
};

enum tercet_status {
    TERCET_OK = 0,
    TERCET_BAD_ARGUMENT = 1,
    TERCET_NO_MEMORY = 2,
    TERCET_NO_THREAD = 3,
    TERCET_WRONG_CPU = 4,
};

struct tercet_model;

/* The first of one or more definitions, up to a NULL, whose features the CPU has. Where it has those of none, the last,
 * which tercet_create then refuses. */
const struct tercet_definition *tercet_choose(const struct tercet_definition *const *definitions);

/* Allocates everything a run needs: expanded weights, arena, scratch and up to `threads` - 1 worker threads, 1 <= threads
 * <= 1024, no more than the processors that the caller may use allow. *model is NULL on failure. On a CPU without the
 * features of the definition nothing but code for any CPU runs. The definition must outlive the model. */
int tercet_create(const struct tercet_definition *definition, int threads, struct tercet_model **model);
void tercet_destroy(struct tercet_model *model);

/* Runs steps [0, steps) for each of `batch` samples (steps < 0: all). No allocation. seconds, when not NULL, gets the
 * time of each step added to it. One run at a time per model; different models are independent. An output is defined
 * once the step that writes it has run. */
int tercet_run(struct tercet_model *model, int64_t batch, const void *const *inputs, void *const *outputs, int steps,
               double *seconds);

/* What a model was created from. */
const struct tercet_definition *tercet_definition_of(const struct tercet_model *model);

/* The threads that runs use, from 1 to those asked for. */
int tercet_threads(const struct tercet_model *model);

/* The arena of the model, for reading intermediate values after a partial run. */
const unsigned char *tercet_arena(const struct tercet_model *model);

/* A status in words; never NULL. */
const char *tercet_status_text(int status);

#endif
