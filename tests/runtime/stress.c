/* Runs the runtime hard and checks every result: built plain, with sanitizers, for valgrind and without threads.
 *
 * The model: values[i] = i for many i (parallel), reversed (one part), plus a weight (parallel, through scratch), out. */
#include "tercet_runtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 20003, BATCH = 7 }; /* large enough for the copies of inputs and outputs to be shared */

/* Every allocation goes through here (-Wl,--wrap), so that those of a run can be counted. */
static atomic_int allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(alignment, size);
}

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static int aligned(const void *pointer) { return (uintptr_t)pointer % 64 == 0; }

static void fill(const struct tercet_task *task) {
    const int32_t *in = task->in[0];
    int32_t *out = task->out[0];
    int64_t begin, end;
    CHECK(aligned(in) && aligned(out) && aligned(task->scratch) && aligned(task->weights));
    tercet_share(task, COUNT, 16, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        out[i] = in[i] + (int32_t)i;
    }
}

static void reverse(const struct tercet_task *task) {
    const int32_t *in = task->in[0];
    int32_t *out = task->out[0];
    CHECK(task->part == 0 && task->parts == 1);
    for (int i = 0; i < COUNT; i++) {
        out[i] = in[COUNT - 1 - i];
    }
}

static void plus_weight(const struct tercet_task *task) {
    const int32_t *in = task->in[0];
    int32_t *out = task->out[0], *scratch = (int32_t *)task->scratch;
    int64_t begin, end;
    tercet_share(task, COUNT, 1, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        scratch[i - begin] = in[i] + (int8_t)task->weights[i];
    }
    memcpy(out + begin, scratch, (size_t)(end - begin) * sizeof(int32_t));
    unsigned tail = 0;
    for (int i = 0; i < 256; i++) { /* readable, all of them */
        tail += ((const unsigned char *)(in + COUNT))[i] + task->weights[COUNT + i] + task->scratch[COUNT * 4 + i];
    }
    CHECK(tail < 256u * 255 * 3);
}

static const struct tercet_buffer input = {TERCET_INPUT, 0}, first = {TERCET_ARENA, 0}, second = {TERCET_ARENA, 80064},
                                  output = {TERCET_OUTPUT, 0};
static const struct tercet_step steps[] = {
    {fill, &input, &first, 1, 1, 0, 1},
    {reverse, &first, &second, 1, 1, 0, 0},
    {plus_weight, &second, &output, 1, 1, 64, 1},
};
static unsigned char blob[(COUNT + 4) / 5];
static const struct tercet_section sections[] = {
    {0, (COUNT + 4) / 5, 64, COUNT, 3, 1, -1, 0, 0, NULL, 0, 3, 0, NULL, 0, 0, NULL},
};
static const int64_t port_bytes[] = {COUNT * 4};
static const struct tercet_definition definition = {
    .steps = steps,
    .step_count = 3,
    .sections = sections,
    .section_count = 1,
    .blob = blob,
    .weight_bytes = 64 + COUNT,
    .arena_bytes = 80064 * 2,
    .scratch_bytes = COUNT * 4,
    .input_bytes = port_bytes,
    .output_bytes = port_bytes,
    .input_count = 1,
    .output_count = 1,
    .batched = 1,
};

static int weight(int i) {
    int byte = blob[i / 5];
    for (int k = 0; k < i % 5; k++) {
        byte /= 3;
    }
    return byte % 3 - 1;
}

static void run_and_check(struct tercet_model *model, int batch, int seed) {
    static _Thread_local char raw_in[BATCH * COUNT * 4 + 1], raw_out[BATCH * COUNT * 4 + 1];
    const void *inputs[] = {raw_in + 1}; /* any address will do */
    void *outputs[] = {raw_out + 1};
    for (int i = 0; i < batch * COUNT; i++) {
        int32_t value = seed * 1000 + i % 77;
        memcpy(raw_in + 1 + 4 * i, &value, 4);
    }
    CHECK(tercet_run(model, batch, inputs, outputs, -1, NULL) == TERCET_OK);
    for (int i = 0; i < batch * COUNT; i++) {
        int sample = i / COUNT, from = COUNT - 1 - i % COUNT;
        int32_t want = seed * 1000 + (sample * COUNT + from) % 77 + from + weight(i % COUNT), have;
        memcpy(&have, raw_out + 1 + 4 * i, 4);
        CHECK(have == want);
    }
}

static void check_thread_count(int threads, int repeats) {
    struct tercet_model *model;
    CHECK(tercet_create(&definition, threads, &model) == TERCET_OK);
    int before = atomic_load(&allocations);
    for (int i = 0; i < repeats; i++) {
        run_and_check(model, i % (BATCH + 1), i);
    }
    CHECK(atomic_load(&allocations) == before);
    tercet_destroy(model);
}

static void *one_model(void *argument) {
    struct tercet_model *model;
    (void)argument;
    CHECK(tercet_create(&definition, 3, &model) == TERCET_OK);
    for (int i = 0; i < 20; i++) {
        run_and_check(model, 2, i);
    }
    tercet_destroy(model);
    return NULL;
}

static void check_models_side_by_side(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, one_model, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void check_refusals(void) {
    struct tercet_model *model = (void *)1;
    const void *none[] = {NULL}, *inputs[] = {blob};
    void *outputs[] = {NULL};
    CHECK(tercet_create(NULL, 1, &model) == TERCET_BAD_ARGUMENT && !model);
    CHECK(tercet_create(&definition, 0, &model) == TERCET_BAD_ARGUMENT && !model);
    CHECK(tercet_create(&definition, 1025, &model) == TERCET_BAD_ARGUMENT && !model);
    CHECK(tercet_create(&definition, 1, NULL) == TERCET_BAD_ARGUMENT);
    CHECK(tercet_run(NULL, 1, inputs, outputs, -1, NULL) == TERCET_BAD_ARGUMENT);

    struct tercet_definition other = definition;
    other.arena_bytes = INT64_MAX - 100;
    CHECK(tercet_create(&other, 1, &model) == TERCET_NO_MEMORY && !model);
    other.arena_bytes = -1;
    CHECK(tercet_create(&other, 1, &model) == TERCET_NO_MEMORY && !model);
    other = definition;
    other.weight_bytes = 64 + COUNT - 1; /* the section does not fit */
    CHECK(tercet_create(&other, 1, &model) == TERCET_BAD_ARGUMENT && !model);
    other = definition;
    other.output_count = 0; /* a step writes to an output that is not there */
    CHECK(tercet_create(&other, 1, &model) == TERCET_BAD_ARGUMENT && !model);

    other = definition;
    other.batched = 0;
    CHECK(tercet_create(&other, 2, &model) == TERCET_OK);
    run_and_check(model, 1, 3);
    CHECK(tercet_run(model, 2, inputs, outputs, -1, NULL) == TERCET_BAD_ARGUMENT);
    CHECK(tercet_run(model, 0, inputs, outputs, -1, NULL) == TERCET_BAD_ARGUMENT);
    CHECK(tercet_run(model, 1, none, outputs, -1, NULL) == TERCET_BAD_ARGUMENT);
    CHECK(tercet_run(model, 1, NULL, NULL, -1, NULL) == TERCET_BAD_ARGUMENT);
    CHECK(tercet_run(model, 1, inputs, outputs, -1, NULL) == TERCET_BAD_ARGUMENT);
    CHECK(tercet_run(model, 1, inputs, outputs, 4, NULL) == TERCET_BAD_ARGUMENT);
    tercet_destroy(model);
    tercet_destroy(NULL);
    for (int status = -1; status < 6; status++) {
        CHECK(strlen(tercet_status_text(status)) > 0);
    }
}

static void check_partial_runs(void) {
    struct tercet_model *model;
    static int32_t in[COUNT], out[COUNT];
    const void *inputs[] = {in};
    void *outputs[] = {out};
    double seconds[3] = {0, 0, 0};
    CHECK(tercet_create(&definition, 2, &model) == TERCET_OK);
    CHECK(tercet_run(model, 1, inputs, outputs, 2, seconds) == TERCET_OK);
    const int32_t *reversed = (const int32_t *)(const void *)(tercet_arena(model) + 80064);
    CHECK(reversed[0] == COUNT - 1 && out[0] == 0);
    CHECK(seconds[0] > 0 && seconds[1] > 0 && seconds[2] == 0);
    double once = seconds[0];
    CHECK(tercet_run(model, 1, inputs, outputs, -1, seconds) == TERCET_OK);
    CHECK(seconds[0] > once && seconds[2] > 0 && out[0] == COUNT - 1 + weight(0));
    tercet_destroy(model);
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void check_idle_threads_sleep(void) {
    struct tercet_model *model;
    CHECK(tercet_create(&definition, 2, &model) == TERCET_OK);
    run_and_check(model, 1, 1);
    double before = cpu_seconds();
    nanosleep(&(struct timespec){0, 200 * 1000 * 1000}, NULL);
    CHECK(cpu_seconds() - before < 0.05);
    run_and_check(model, 1, 2);
    tercet_destroy(model);
}

static void check_fork(void) {
    struct tercet_model *model;
    CHECK(tercet_create(&definition, 3, &model) == TERCET_OK);
    pid_t child = fork();
    if (child == 0) {
        static int32_t in[COUNT], out[COUNT];
        const void *inputs[] = {in};
        void *outputs[] = {out};
        int status = tercet_run(model, 1, inputs, outputs, -1, NULL);
        tercet_destroy(model);
        _exit(status == TERCET_NO_THREAD ? 0 : 1);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    run_and_check(model, 1, 1);
    tercet_destroy(model);
}

int main(int argc, char **argv) {
    int repeats = argc > 1 ? atoi(argv[1]) : 200;
    for (size_t i = 0; i < sizeof(blob); i++) {
        blob[i] = (unsigned char)(i * 37 % 243);
    }
    const int thread_counts[] = {1, 2, 3, 5, 16};
    for (int i = 0; i < 5; i++) {
        check_thread_count(thread_counts[i], repeats);
    }
    check_models_side_by_side();
    check_refusals();
    check_partial_runs();
    check_idle_threads_sleep();
    if (argc <= 2) { /* sanitizers do not like a fork with threads */
        check_fork();
    }
    puts("ok");
    return 0;
}
