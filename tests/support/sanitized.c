/* Runs a compiled model under a sanitizer: RUN THREADS BATCH < inputs > outputs and the arena, as run_model.c does.
 *
 * First a plain run. Then the same again step by step, each step with nothing within reach but its own operands,
 * results, constants and scratch, and what it is to write filled beforehand: all results must be the same byte for byte,
 * whatever was there. AddressSanitizer reports a step that touches anything else; a write into the readable tail of a
 * result is found by its bytes. Each thread surely does its share there, so that ThreadSanitizer sees what two parts do to
 * one byte. The runtime is included, not linked, for its private parts. */
#include "tercet_runtime.c"

#include <pthread.h>
#include <stdio.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

extern const struct tercet_definition tercet_model_definition;

/* For each step: the bytes of its operands, of its results, of its constants and of its scratch. */
extern const int64_t guarded_bytes[];

static const int FILLS[] = {0x5a, 0xff};

static void fail(const char *what, int step) {
    fprintf(stderr, "GUARD: step %d: %s\n", step, what);
    exit(99);
}

static void *buffer(int64_t bytes) {
    void *memory = calloc(1, (size_t)bytes + 1);
    if (!memory)
        fail("no memory", -1);
    return memory;
}

static void reach(unsigned char *memory, int64_t bytes, int open) {
    if (open)
        ASAN_UNPOISON_MEMORY_REGION(memory, (size_t)(bytes + TAIL_BYTES));
    else
        ASAN_POISON_MEMORY_REGION(memory, (size_t)(bytes + TAIL_BYTES));
}

/* All of the model's memory but its inputs, within reach or not. */
static void reach_all(struct tercet_model *m, int open) {
    const struct tercet_definition *d = m->definition;
    reach(m->weights, d->weight_bytes, open);
    reach(m->arena, d->arena_bytes, open);
    reach(m->scratch, m->scratch_stride * tercet_pool_threads(m->pool) - TAIL_BYTES, open);
    for (int i = 0; i < d->output_count; i++)
        reach(m->outputs[i], d->output_bytes[i], open);
}

/* What one thread does of a step. */
struct share {
    struct call *call;
    int thread, threads;
};

static void *run_share(void *argument) {
    struct share *share = argument;
    for (int part = share->thread; part < share->call->parts; part += share->threads)
        run_part(share->call, part, share->thread);
    return NULL;
}

/* A step as run_step does it, but on fresh threads, of which none waits for another and none does another's parts. */
static void run_spread(const struct tercet_model *m, int s) {
    struct call call = {m, s, 1, 1};
    if (m->definition->steps[s].parallel) {
        call.parts = tercet_pool_parts(m->pool);
        call.splits = call.parts / tercet_pool_threads(m->pool);
    }
    const int threads = call.parts / call.splits;
    struct share shares[threads];
    pthread_t started[threads];
    for (int t = 0; t < threads; t++) {
        shares[t] = (struct share){&call, t, threads};
        if (pthread_create(&started[t], NULL, run_share, &shares[t]))
            fail("no thread", s);
    }
    for (int t = 0; t < threads; t++)
        pthread_join(started[t], NULL);
}

static void check_tail(const unsigned char *end, int fill, int step) {
    for (int i = 0; i < TAIL_BYTES; i++)
        if (end[i] != (unsigned char)fill)
            fail("a write past the end of a result", step);
}

/* One step with nothing else within reach. Returns where the sizes of the next step are. */
static const int64_t *guarded_step(struct tercet_model *m, int s, int fill, const int64_t *sizes) {
    const struct tercet_step *step = &m->definition->steps[s];
    const struct bound_step *bound = &m->steps[s];
    const int64_t *in = sizes, *out = in + step->inputs, *rest = out + step->outputs;
    reach_all(m, 0);
    for (int i = 0; i < step->inputs; i++)
        reach((unsigned char *)bound->in[i], in[i], 1);
    for (int i = 0; i < step->outputs; i++) {
        reach(bound->out[i], out[i], 1);
        memset(bound->out[i], fill, (size_t)(out[i] + TAIL_BYTES));
    }
    reach(m->weights + step->weights, rest[0], 1);
    for (int thread = 0; thread < tercet_pool_threads(m->pool); thread++) {
        unsigned char *scratch = m->scratch + m->scratch_stride * thread;
        reach(scratch, rest[1], 1);
        memset(scratch, fill, (size_t)(rest[1] + TAIL_BYTES));
    }
    run_spread(m, s);
    for (int i = 0; i < step->outputs; i++)
        check_tail((unsigned char *)bound->out[i] + out[i], fill, s);
    return rest + 2;
}

/* The same scratch, with room between that of two threads which is nobody's. */
static void part_scratch(struct tercet_model *m) {
    m->scratch_stride += ALIGNMENT;
    free(m->scratch);
    m->scratch = allocate(m->scratch_stride * tercet_pool_threads(m->pool));
    if (!m->scratch)
        fail("no memory", -1);
}

static void check_outputs(const struct tercet_model *m, int64_t sample, void *const *outputs) {
    const struct tercet_definition *d = m->definition;
    for (int i = 0; i < d->output_count; i++)
        if (memcmp((unsigned char *)outputs[i] + sample * d->output_bytes[i], m->outputs[i], (size_t)d->output_bytes[i]))
            fail("the result depends on bytes that nobody wrote", d->step_count);
}

static void guarded_run(struct tercet_model *m, int64_t batch, void *const *inputs, void *const *outputs, int fill) {
    const struct tercet_definition *d = m->definition;
    for (int64_t sample = 0; sample < batch; sample++) {
        for (int i = 0; i < d->input_count; i++) {
            memcpy(m->inputs[i], (unsigned char *)inputs[i] + sample * d->input_bytes[i], (size_t)d->input_bytes[i]);
            memset(m->inputs[i] + d->input_bytes[i], fill, TAIL_BYTES);
        }
        const int64_t *sizes = guarded_bytes;
        for (int s = 0; s < d->step_count; s++)
            sizes = guarded_step(m, s, fill, sizes);
        reach_all(m, 1);
        check_outputs(m, sample, outputs);
    }
}

int main(int argc, char **argv) {
    const struct tercet_definition *d = &tercet_model_definition;
    if (argc != 3)
        return 101;
    const int threads = atoi(argv[1]);
    const int64_t batch = atoll(argv[2]);
    void **inputs = buffer(d->input_count * (int64_t)sizeof(void *));
    void **outputs = buffer(d->output_count * (int64_t)sizeof(void *));
    for (int i = 0; i < d->input_count; i++) {
        const size_t bytes = (size_t)(d->input_bytes[i] * batch);
        inputs[i] = buffer((int64_t)bytes);
        if (fread(inputs[i], 1, bytes, stdin) != bytes)
            return 102;
    }
    for (int i = 0; i < d->output_count; i++)
        outputs[i] = buffer(d->output_bytes[i] * batch);
    struct tercet_model *model = NULL;
    int status = tercet_create(d, threads, &model);
    if (status == TERCET_OK)
        status = tercet_run(model, batch, (const void *const *)inputs, outputs, -1, NULL);
    if (status != TERCET_OK)
        return status;
    for (int i = 0; i < d->output_count; i++)
        fwrite(outputs[i], 1, (size_t)(d->output_bytes[i] * batch), stdout);
    fwrite(tercet_arena(model), 1, (size_t)d->arena_bytes, stdout);
    part_scratch(model);
    for (size_t i = 0; i < sizeof(FILLS) / sizeof(*FILLS); i++)
        guarded_run(model, batch, inputs, outputs, FILLS[i]);
    tercet_destroy(model);
    for (int i = 0; i < d->input_count; i++)
        free(inputs[i]);
    for (int i = 0; i < d->output_count; i++)
        free(outputs[i]);
    free(inputs);
    free(outputs);
    return fflush(stdout) ? 103 : 0;
}
