/* Runs any of many compiled models, with the memory that they are not to read beforehand filled with a pattern. */
#include "tercet_runtime.c"
#include <stdio.h>

struct fuzz_entry {
    const struct tercet_definition *definition;
};
extern const struct fuzz_entry fuzz_models[];

/* `runs` runs in a row of a new model. The arena, the scratch and the outputs are filled with `fill` before the first. */
__attribute__((visibility("default")))
int fuzz_run(int index, int threads, int64_t batch, const void *const *inputs, void *const *outputs, int fill, int runs) {
    const struct tercet_definition *definition = fuzz_models[index].definition;
    struct tercet_model *model = NULL;
    int status = tercet_create(definition, threads, &model);
    if (status == TERCET_OK) {
        memset(model->arena, fill, (size_t)definition->arena_bytes);
        memset(model->scratch, fill, (size_t)(model->scratch_stride * tercet_pool_threads(model->pool)));
        for (int i = 0; i < definition->output_count; i++)
            memset(model->outputs[i], fill, (size_t)definition->output_bytes[i]);
    }
    for (int run = 0; run < runs && status == TERCET_OK; run++)
        status = tercet_run(model, batch, inputs, outputs, -1, NULL);
    tercet_destroy(model);
    return status;
}

#ifdef FUZZ_PROGRAM
static void *buffer(int64_t bytes) {
    void *memory = calloc(1, (size_t)bytes + 1);
    if (!memory)
        exit(100);
    return memory;
}

/* PROGRAM INDEX THREADS BATCH FILL RUNS < inputs > outputs */
int main(int argc, char **argv) {
    if (argc != 6)
        return 101;
    const int index = atoi(argv[1]);
    const int64_t batch = atoll(argv[3]);
    const struct tercet_definition *d = fuzz_models[index].definition;
    void **inputs = buffer(d->input_count * (int64_t)sizeof(void *));
    void **outputs = buffer(d->output_count * (int64_t)sizeof(void *));
    for (int i = 0; i < d->input_count; i++) {
        inputs[i] = buffer(d->input_bytes[i] * batch);
        if (fread(inputs[i], 1, (size_t)(d->input_bytes[i] * batch), stdin) != (size_t)(d->input_bytes[i] * batch))
            return 102;
    }
    for (int i = 0; i < d->output_count; i++)
        outputs[i] = buffer(d->output_bytes[i] * batch);
    int status = fuzz_run(index, atoi(argv[2]), batch, (const void *const *)inputs, outputs, atoi(argv[4]), atoi(argv[5]));
    for (int i = 0; i < d->output_count; i++)
        fwrite(outputs[i], 1, (size_t)(d->output_bytes[i] * batch), stdout);
    return status ? status : fflush(stdout) ? 103 : 0;
}
#endif
