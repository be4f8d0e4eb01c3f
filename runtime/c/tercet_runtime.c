/* Creating, running and destroying a model. All memory is taken in tercet_create; the only state is the model's own. */
#define _GNU_SOURCE /* clock_gettime under any -std */
#include "tercet_runtime.h"
#include "tercet_cpu.h"
#include "tercet_pool.h"
#include "tercet_weights.h"

#include <stdlib.h>
#include <time.h>

#ifndef TERCET_CLOCK
#define TERCET_CLOCK CLOCK_MONOTONIC /* what steps are timed with */
#endif

enum { ALIGNMENT = 64, TAIL_BYTES = 256, MOST_THREADS = 1024 };

/* Parts of a step for each thread: with more than one, a thread that is slowed down or interrupted hands on what it has
 * not begun. Every part costs a claim and what its kernel does at its start. */
enum { SPLITS = 4 };

/* Below this a copy is done before other threads would have begun. */
enum { SHARED_COPY_BYTES = 64 * 1024 };

/* The pointers of one step. They never change: kernels read and write the model's own buffers, and a caller's inputs
 * and outputs are copied. So callers may use any address, and every buffer is aligned and has its readable tail. */
struct bound_step {
    const void **in;
    void **out;
};

struct tercet_model {
    const struct tercet_definition *definition;
    struct tercet_pool *pool;
    unsigned char *weights, *arena, *scratch;
    int64_t scratch_stride; /* from one thread's scratch to the next one's */
    unsigned char **inputs, **outputs;
    struct bound_step *steps;
    const void **pointers; /* what `steps` points into */
};

/* One step for all threads: the context of tercet_pool_run. */
struct call {
    const struct tercet_model *model;
    int step, parts, splits;
};

/* Zeroed, aligned memory of `bytes` and the tail; NULL when there is none or the size is absurd. Zeroing makes runs
 * repeatable and takes the page faults here rather than in the first run. */
static void *allocate(int64_t bytes) {
    if (bytes < 0 || (uint64_t)bytes > PTRDIFF_MAX - 2 * TAIL_BYTES) {
        return NULL;
    }
    size_t size = ((size_t)bytes + TAIL_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, size);
    return memory ? memset(memory, 0, size) : NULL;
}

/* The address of a value, or NULL when the definition names a port that does not exist. */
static unsigned char *address_of(const struct tercet_model *model, const struct tercet_buffer *buffer) {
    const struct tercet_definition *definition = model->definition;
    int64_t offset = buffer->offset;
    switch (buffer->place) {
    case TERCET_ARENA:
        return offset >= 0 && offset <= definition->arena_bytes ? model->arena + offset : NULL;
    case TERCET_INPUT:
        return offset >= 0 && offset < definition->input_count ? model->inputs[offset] : NULL;
    case TERCET_OUTPUT:
        return offset >= 0 && offset < definition->output_count ? model->outputs[offset] : NULL;
    }
    return NULL;
}

static int bind_steps(struct tercet_model *model) {
    const struct tercet_definition *definition = model->definition;
    const void **next = model->pointers;
    for (int s = 0; s < definition->step_count; s++) {
        const struct tercet_step *step = &definition->steps[s];
        struct bound_step *bound = &model->steps[s];
        bound->in = next;
        for (int i = 0; i < step->inputs; i++) {
            if (!(*next++ = address_of(model, &step->in[i]))) {
                return TERCET_BAD_ARGUMENT;
            }
        }
        bound->out = (void **)next;
        for (int i = 0; i < step->outputs; i++) {
            if (!(*next++ = address_of(model, &step->out[i]))) {
                return TERCET_BAD_ARGUMENT;
            }
        }
    }
    return TERCET_OK;
}

static unsigned char **allocate_ports(const int64_t *bytes, int count) {
    unsigned char **ports = calloc((size_t)count + 1, sizeof(*ports)); /* ends in NULL */
    for (int i = 0; ports && i < count; i++) {
        ports[i] = allocate(bytes[i]);
    }
    return ports;
}

static void free_ports(unsigned char **ports) {
    for (int i = 0; ports && ports[i]; i++) {
        free(ports[i]);
    }
    free(ports);
}

static int ports_complete(unsigned char **ports, int count) {
    for (int i = 0; i < count; i++) {
        if (!ports || !ports[i]) {
            return 0;
        }
    }
    return ports != NULL;
}

static int allocate_memory(struct tercet_model *model, int threads) {
    const struct tercet_definition *definition = model->definition;
    size_t pointers = 1;
    for (int s = 0; s < definition->step_count; s++) {
        pointers += (size_t)(definition->steps[s].inputs + definition->steps[s].outputs);
    }
    if (definition->scratch_bytes < 0 || definition->scratch_bytes > INT64_MAX / MOST_THREADS - 2 * TAIL_BYTES) {
        return TERCET_NO_MEMORY;
    }
    model->scratch_stride = (definition->scratch_bytes + TAIL_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    model->weights = allocate(definition->weight_bytes);
    model->arena = allocate(definition->arena_bytes);
    model->scratch = allocate(model->scratch_stride * threads);
    model->inputs = allocate_ports(definition->input_bytes, definition->input_count);
    model->outputs = allocate_ports(definition->output_bytes, definition->output_count);
    model->pointers = calloc(pointers, sizeof(*model->pointers));
    model->steps = calloc((size_t)definition->step_count + 1, sizeof(*model->steps));
    int complete = model->weights && model->arena && model->scratch && model->pointers && model->steps &&
                   ports_complete(model->inputs, definition->input_count) &&
                   ports_complete(model->outputs, definition->output_count);
    return complete ? TERCET_OK : TERCET_NO_MEMORY;
}

const struct tercet_definition *tercet_choose(const struct tercet_definition *const *definitions) {
    while (definitions[1] && !tercet_cpu_has(definitions[0]->features)) {
        definitions++;
    }
    return definitions[0];
}

int tercet_create(const struct tercet_definition *definition, int threads, struct tercet_model **result) {
    if (!result) {
        return TERCET_BAD_ARGUMENT;
    }
    *result = NULL;
    if (!definition || threads < 1 || threads > MOST_THREADS) {
        return TERCET_BAD_ARGUMENT;
    }
    if (!tercet_cpu_has(definition->features)) {
        return TERCET_WRONG_CPU;
    }
    struct tercet_model *model = calloc(1, sizeof(*model));
    if (!model) {
        return TERCET_NO_MEMORY;
    }
    model->definition = definition;
    int status = tercet_pool_create(threads, SPLITS, &model->pool);
    if (status == TERCET_OK) {
        status = allocate_memory(model, tercet_pool_threads(model->pool));
    }
    if (status == TERCET_OK) {
        status = tercet_expand_weights(definition, model->weights);
    }
    if (status == TERCET_OK) {
        status = bind_steps(model);
    }
    if (status != TERCET_OK) {
        tercet_destroy(model);
        return status;
    }
    *result = model;
    return TERCET_OK;
}

void tercet_destroy(struct tercet_model *model) {
    if (!model) {
        return;
    }
    tercet_pool_destroy(model->pool);
    free_ports(model->inputs);
    free_ports(model->outputs);
    free(model->weights);
    free(model->arena);
    free(model->scratch);
    free(model->pointers);
    free(model->steps);
    free(model);
}

static void run_part(void *context, int part, int thread) {
    const struct call *call = context;
    const struct tercet_model *model = call->model;
    const struct tercet_step *step = &model->definition->steps[call->step];
    const struct tercet_task task = {
        .in = model->steps[call->step].in,
        .out = model->steps[call->step].out,
        .weights = model->weights + step->weights,
        .scratch = model->scratch + model->scratch_stride * thread,
        .part = part,
        .parts = call->parts,
        .splits = call->splits,
    };
    step->run(&task);
}

static void run_step(const struct tercet_model *model, int index) {
    struct call call = {model, index, 1, 1};
    if (model->definition->steps[index].parallel) {
        call.parts = tercet_pool_parts(model->pool);
        call.splits = call.parts / tercet_pool_threads(model->pool);
        tercet_pool_run(model->pool, run_part, &call);
    } else {
        run_part(&call, 0, 0);
    }
}

/* The context of tercet_pool_run for bytes to copy. */
struct copy {
    unsigned char *to;
    const unsigned char *from;
    int64_t bytes;
    int parts;
};

static void copy_part(void *context, int part, int thread) {
    const struct copy *copy = context;
    const struct tercet_task task = {.part = part, .parts = copy->parts, .splits = 1};
    int64_t begin, end;
    (void)thread;
    tercet_share(&task, copy->bytes, ALIGNMENT, &begin, &end);
    memcpy(copy->to + begin, copy->from + begin, (size_t)(end - begin));
}

/* Copies an input or output. Large ones are shared: it takes less time, and threads that sleep since the last run wake
 * up while the caller copies. */
static void copy_port(const struct tercet_model *model, void *to, const void *from, int64_t bytes) {
    struct copy copy = {to, from, bytes, tercet_pool_parts(model->pool)};
    if (bytes >= SHARED_COPY_BYTES) {
        tercet_pool_run(model->pool, copy_part, &copy);
    } else {
        memcpy(to, from, (size_t)bytes);
    }
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(TERCET_CLOCK, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void run_steps(const struct tercet_model *model, int steps, double *seconds) {
    for (int s = 0; s < steps; s++) {
        double begin = seconds ? seconds_now() : 0;
        run_step(model, s);
        if (seconds) {
            seconds[s] += seconds_now() - begin;
        }
    }
}

/* Whether a caller gave an address for every port that has bytes. */
static int given(const void *const *ports, const int64_t *bytes, int count) {
    for (int i = 0; i < count; i++) {
        if (bytes[i] > 0 && (!ports || !ports[i])) {
            return 0;
        }
    }
    return 1;
}

int tercet_run(struct tercet_model *model, int64_t batch, const void *const *inputs, void *const *outputs, int steps,
               double *seconds) {
    if (!model || batch < 0 || (!model->definition->batched && batch != 1) || steps > model->definition->step_count) {
        return TERCET_BAD_ARGUMENT;
    }
    const struct tercet_definition *definition = model->definition;
    if (batch > 0 && (!given(inputs, definition->input_bytes, definition->input_count) ||
                      !given((const void *const *)outputs, definition->output_bytes, definition->output_count))) {
        return TERCET_BAD_ARGUMENT;
    }
    if (!tercet_pool_usable(model->pool)) {
        return TERCET_NO_THREAD;
    }
    for (int64_t sample = 0; sample < batch; sample++) {
        for (int i = 0; i < definition->input_count; i++) {
            int64_t bytes = definition->input_bytes[i];
            if (bytes > 0) {
                copy_port(model, model->inputs[i], (const unsigned char *)inputs[i] + sample * bytes, bytes);
            }
        }
        run_steps(model, steps < 0 ? definition->step_count : steps, seconds);
        for (int i = 0; i < definition->output_count; i++) {
            int64_t bytes = definition->output_bytes[i];
            if (bytes > 0) {
                copy_port(model, (unsigned char *)outputs[i] + sample * bytes, model->outputs[i], bytes);
            }
        }
    }
    return TERCET_OK;
}

const struct tercet_definition *tercet_definition_of(const struct tercet_model *model) { return model->definition; }

int tercet_threads(const struct tercet_model *model) { return tercet_pool_threads(model->pool); }

const unsigned char *tercet_arena(const struct tercet_model *model) { return model->arena; }

const char *tercet_status_text(int status) {
    switch (status) {
    case TERCET_OK:
        return "ok";
    case TERCET_BAD_ARGUMENT:
        return "bad argument: a null pointer, a batch the model does not take, or a thread count out of range";
    case TERCET_NO_MEMORY:
        return "not enough memory";
    case TERCET_NO_THREAD:
        return "worker threads cannot be started, or belong to another process (the model was created before a fork)";
    case TERCET_WRONG_CPU:
        return "this CPU, or its operating system, lacks a feature that the model was compiled for";
    default:
        return "unknown status";
    }
}
