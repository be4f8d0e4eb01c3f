/* Runs a compiled model as a program: RUN_MODEL THREADS BATCH < inputs > outputs and the arena.
 * The buffers of all inputs come one after the other, each with all its samples; so do the outputs. */
#include <stdio.h>
#include <stdlib.h>
#include "tercet_runtime.h"

extern const struct tercet_definition tercet_model_definition;

static void *buffer(int64_t bytes) {
    void *memory = calloc(1, (size_t)bytes + 1);
    if (!memory)
        exit(100);
    return memory;
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
        inputs[i] = buffer(d->input_bytes[i] * batch);
        if (fread(inputs[i], 1, (size_t)(d->input_bytes[i] * batch), stdin) != (size_t)(d->input_bytes[i] * batch))
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
    tercet_destroy(model);
    return fflush(stdout) ? 103 : 0;
}
