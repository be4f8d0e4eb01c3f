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

/* PROGRAM < calls > results. A call is five int64: the model, threads, batch, fill, runs; and the inputs. Its result is
 * the status as int64, and the outputs. Written at once, so that what came before a crash is kept. */
int main(void) {
    int64_t call[5];
    while (fread(call, sizeof(call), 1, stdin) == 1) {
        const struct tercet_definition *d = fuzz_models[call[0]].definition;
        void **inputs = buffer(d->input_count * (int64_t)sizeof(void *));
        void **outputs = buffer(d->output_count * (int64_t)sizeof(void *));
        for (int i = 0; i < d->input_count; i++) {
            const size_t bytes = (size_t)(d->input_bytes[i] * call[2]);
            inputs[i] = buffer((int64_t)bytes);
            if (fread(inputs[i], 1, bytes, stdin) != bytes)
                return 102;
        }
        for (int i = 0; i < d->output_count; i++)
            outputs[i] = buffer(d->output_bytes[i] * call[2]);
        int64_t status = fuzz_run((int)call[0], (int)call[1], call[2], (const void *const *)inputs, outputs, (int)call[3],
                                  (int)call[4]);
        fwrite(&status, sizeof(status), 1, stdout);
        for (int i = 0; i < d->output_count; i++)
            fwrite(outputs[i], 1, (size_t)(d->output_bytes[i] * call[2]), stdout);
        if (fflush(stdout))
            return 103;
    }
    return 0;
}
#endif
