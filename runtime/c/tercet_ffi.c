#include "tercet_ffi.h"

#include <stdio.h>
#include <string.h>

/* DLPack's tensor. strides: in elements; NULL where elements lie densely, row by row. */
struct tensor {
    void *data;
    int32_t device, device_number, rank;
    uint8_t kind, bits;
    uint16_t lanes;
    const int64_t *shape, *strides;
    uint64_t offset;
};
enum { CPU = 1, OBJECT_BYTES = 24, MOST_PORTS = 64 };

/* How an error reaches the caller. It is tvm-ffi's, which is there where it loaded the library, and need not be else. */
#if defined(__ELF__)
extern void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) __attribute__((weak));
#define RAISE TVMFFIErrorSetRaisedFromCStr
#else
static void (*const RAISE)(const char *, const char *) = NULL;
#endif

static int fail(const char *kind, const char *message) {
    if (RAISE) {
        RAISE(kind, message);
    }
    return -1;
}

static int fail_status(int status) {
    return fail(status == TERCET_BAD_ARGUMENT ? "ValueError" : "RuntimeError", tercet_status_text(status));
}

static const struct tensor *tensor_of(const struct tercet_ffi_value *value) {
    switch (value->kind) {
    case TERCET_FFI_TENSOR_POINTER:
        return value->as.pointer;
    case TERCET_FFI_TENSOR:
        return (const struct tensor *)((const char *)value->as.pointer + OBJECT_BYTES);
    default:
        return NULL;
    }
}

static int is_dense(const struct tensor *tensor) {
    int64_t step = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0) {
            return 1;
        }
    }
    for (int i = tensor->rank - 1; tensor->strides && i >= 0; i--) {
        if (tensor->shape[i] != 1 && tensor->strides[i] != step) {
            return 0;
        }
        step *= tensor->shape[i];
    }
    return 1;
}

/* Whether it is what the port takes; *batch is set by the first tensor that has one, and the same in all others. */
static int fits(const struct tensor *tensor, const struct tercet_ffi_port *port, int64_t *batch) {
    if (tensor->device != CPU || tensor->kind != port->kind || tensor->bits != port->bits || tensor->lanes != 1 ||
        tensor->rank != port->rank) {
        return 0;
    }
    for (int i = 0; i < port->rank; i++) {
        int64_t want = port->shape[i];
        if (want < 0) {
            *batch = *batch < 0 ? tensor->shape[i] : *batch;
            want = *batch;
        }
        if (tensor->shape[i] != want) {
            return 0;
        }
    }
    return is_dense(tensor);
}

/* Adds `float32 [N, 10]` to a text of which `used` bytes are written; returns how many are then. */
static size_t describe(char *text, size_t size, size_t used, int kind, int bits, int rank, const int64_t *shape) {
    static const char *const kinds[] = {"int", "uint", "float"};
    used += (size_t)snprintf(text + used, size - used, "%s%d [", kind < 3 ? kinds[kind] : "kind ", kind < 3 ? bits : kind);
    for (int i = 0; i < rank && used < size - 40; i++) {
        const char *comma = i ? ", " : "";
        used += (size_t)(shape[i] < 0 ? snprintf(text + used, size - used, "%sN", comma)
                                      : snprintf(text + used, size - used, "%s%lld", comma, (long long)shape[i]));
    }
    return used + (size_t)snprintf(text + used, size - used, "]");
}

/* got: NULL where the argument is no tensor. batch: what N is, -1 where it is not known. */
static int fail_misfit(const struct tercet_ffi_port *port, const char *side, const struct tensor *got, int64_t batch) {
    char text[1024];
    size_t size = sizeof text;
    size_t used = (size_t)snprintf(text, size, "%s '%.100s': expected a dense tensor on the CPU of ", side, port->name);
    used = describe(text, size / 2, used, port->kind, port->bits, port->rank, port->shape);
    if (batch >= 0 && port->rank && port->shape[0] < 0) {
        used += (size_t)snprintf(text + used, size - used, ", N = %lld", (long long)batch);
    }
    used += (size_t)snprintf(text + used, size - used, ", got ");
    if (!got) {
        snprintf(text + used, size - used, "no tensor");
    } else {
        used = describe(text, size, used, got->kind, got->bits, got->rank, got->shape);
        snprintf(text + used, size - used, "%s%s", is_dense(got) ? "" : ", not dense", got->device == CPU ? "" : ", elsewhere");
    }
    return fail("ValueError", text);
}

int tercet_ffi_create(const struct tercet_definition *const *definitions, const struct tercet_ffi_value *arguments,
                      int32_t count, struct tercet_ffi_value *result) {
    if (count > 1 || (count && arguments->kind != TERCET_FFI_INT)) {
        return fail("TypeError", "create: expected the number of threads, or nothing for one");
    }
    int64_t threads = count ? arguments->as.integer : 1;
    struct tercet_model *model = NULL;
    int wanted = threads < 1 || threads > 1024 ? 0 : (int)threads;
    int status = tercet_create(tercet_choose(definitions), wanted, &model);
    if (status != TERCET_OK) {
        return fail_status(status);
    }
    *result = (struct tercet_ffi_value){.kind = TERCET_FFI_POINTER, .as.pointer = model};
    return 0;
}

int tercet_ffi_run(const struct tercet_ffi_ports *ports, const struct tercet_ffi_value *arguments, int32_t count,
                   struct tercet_ffi_value *result) {
    int total = ports->input_count + ports->output_count;
    char *places[MOST_PORTS];
    if (total > MOST_PORTS) {
        return fail("NotImplementedError", "run: the model has too many inputs and outputs; call its C functions");
    }
    if (count != total + 1 || arguments->kind != TERCET_FFI_POINTER || !arguments->as.pointer) {
        char text[160];
        snprintf(text, sizeof text, "run: expected what create gave, then %d inputs and %d outputs, which are written",
                 ports->input_count, ports->output_count);
        return fail("TypeError", text);
    }
    int64_t batch = -1;
    for (int i = 0; i < total; i++) {
        int is_input = i < ports->input_count;
        const struct tercet_ffi_port *port = is_input ? &ports->inputs[i] : &ports->outputs[i - ports->input_count];
        const struct tensor *tensor = tensor_of(&arguments[i + 1]);
        if (!tensor || !fits(tensor, port, &batch)) {
            return fail_misfit(port, is_input ? "input" : "output", tensor, batch);
        }
        places[i] = (char *)tensor->data + tensor->offset;
    }
    const void *inputs[MOST_PORTS];
    void *outputs[MOST_PORTS];
    memcpy(inputs, places, (size_t)ports->input_count * sizeof *places);
    memcpy(outputs, places + ports->input_count, (size_t)ports->output_count * sizeof *places);
    int status = batch == 0 ? TERCET_OK
                            : tercet_run(arguments->as.pointer, batch < 0 ? 1 : batch, inputs, outputs, -1, NULL);
    *result = (struct tercet_ffi_value){.kind = TERCET_FFI_NONE};
    return status == TERCET_OK ? 0 : fail_status(status);
}

int tercet_ffi_destroy(const struct tercet_ffi_value *arguments, int32_t count, struct tercet_ffi_value *result) {
    if (count != 1 || arguments->kind != TERCET_FFI_POINTER) {
        return fail("TypeError", "destroy: expected what create gave");
    }
    tercet_destroy(arguments->as.pointer);
    *result = (struct tercet_ffi_value){.kind = TERCET_FFI_NONE};
    return 0;
}
