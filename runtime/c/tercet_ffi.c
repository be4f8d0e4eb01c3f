#include "tercet_ffi.h"
#include "tercet_handles.h"

#include <stdio.h>

/* DLPack's tensor. strides: in elements; NULL where elements lie densely, row by row. */
struct tensor {
    void *data;
    int32_t device, device_number, rank;
    uint8_t kind, bits;
    uint16_t lanes;
    const int64_t *shape, *strides;
    uint64_t offset;
};
enum { CPU = 1, OBJECT_BYTES = 24, MOST_THREADS = 1024 };

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

static int is_empty(const struct tensor *tensor) {
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_dense(const struct tensor *tensor) {
    int64_t step = 1;
    for (int i = tensor->rank - 1; tensor->strides && !is_empty(tensor) && i >= 0; i--) {
        if (tensor->shape[i] != 1 && tensor->strides[i] != step) {
            return 0;
        }
        step *= tensor->shape[i];
    }
    return 1;
}

/* Whether elements are what the port takes. Booleans are bytes, whatever they are called. */
static int has_elements(const struct tensor *tensor, const struct tercet_ffi_port *port) {
    const int byte = tensor->kind == TERCET_FFI_SIGNED || tensor->kind == TERCET_FFI_UNSIGNED;
    const int same = tensor->kind == port->kind || (port->kind == TERCET_FFI_BOOL && byte);
    return same && tensor->bits == port->bits && tensor->lanes == 1;
}

/* Whether it is what the port takes; *batch is set by the first tensor that has one, and the same in all others. */
static int fits(const struct tensor *tensor, const struct tercet_ffi_port *port, int64_t *batch) {
    if (tensor->device != CPU || !has_elements(tensor, port) || tensor->rank != port->rank) {
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
    return is_dense(tensor) && (tensor->data || is_empty(tensor));
}

/* DLPack's types of elements by number. Those of the first few are called after their bits. */
static const char *const KINDS[] = {
    "int", "uint", "float", "opaque", "bfloat", "complex", "bool", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz",
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn",
    "float6_e3m2fn", "float4_e2m1fn",
};

static size_t describe_elements(char *text, size_t size, int kind, int bits, int lanes) {
    size_t used;
    if (kind >= (int)(sizeof KINDS / sizeof *KINDS)) {
        used = (size_t)snprintf(text, size, "an unknown type (DLPack's number %d, %d bits)", kind, bits);
    } else if (kind < TERCET_FFI_BOOL) {
        used = (size_t)snprintf(text, size, "%s%d", KINDS[kind], bits);
    } else {
        used = (size_t)snprintf(text, size, "%s", KINDS[kind]);
    }
    return lanes == 1 ? used : used + (size_t)snprintf(text + used, size - used, "x%d", lanes);
}

/* Adds ` [N, 10]` to a text of which `used` bytes are written; returns how many are then. */
static size_t describe_shape(char *text, size_t size, size_t used, int rank, const int64_t *shape) {
    used += (size_t)snprintf(text + used, size - used, " [");
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
    size_t used = (size_t)snprintf(text, size, "%s '%s': expected a dense tensor on the CPU of ", side, port->name);
    used += describe_elements(text + used, size - used, port->kind, port->bits, 1);
    used = describe_shape(text, size / 2, used, port->rank, port->shape);
    if (batch >= 0 && port->rank && port->shape[0] < 0) {
        used += (size_t)snprintf(text + used, size - used, ", N = %lld", (long long)batch);
    }
    used += (size_t)snprintf(text + used, size - used, ", got ");
    if (!got) {
        snprintf(text + used, size - used, "no tensor");
    } else {
        used += describe_elements(text + used, size - used, got->kind, got->bits, got->lanes);
        used = describe_shape(text, size, used, got->rank, got->shape);
        snprintf(text + used, size - used, "%s%s%s", is_dense(got) ? "" : ", not dense",
                 got->device == CPU ? "" : ", not on the CPU", got->data || is_empty(got) ? "" : ", at no address");
    }
    return fail("ValueError", text);
}

/* The model of a handle, for this thread alone; NULL after it has told tvm-ffi that there is none. */
static struct tercet_held *take(const char *function, const void *handle) {
    struct tercet_held *held = tercet_take(handle);
    if (!held) {
        char text[160];
        snprintf(text, sizeof text, "%s: no model: it was destroyed, or create of this library did not give it", function);
        fail("ValueError", text);
    }
    return held;
}

int tercet_ffi_create(const struct tercet_definition *const *definitions, const struct tercet_ffi_ports *ports,
                      const struct tercet_ffi_value *arguments, int32_t count, struct tercet_ffi_value *result) {
    if (count > 1 || (count && arguments->kind != TERCET_FFI_INT)) {
        return fail("TypeError", "create: expected the number of threads, or nothing for one");
    }
    int64_t threads = count ? arguments->as.integer : 1;
    if (threads < 1 || threads > MOST_THREADS) {
        char text[100];
        snprintf(text, sizeof text, "create: expected 1 to %d threads, got %lld", MOST_THREADS, (long long)threads);
        return fail("ValueError", text);
    }
    struct tercet_model *model = NULL;
    int status = tercet_create(tercet_choose(definitions), (int)threads, &model);
    void *handle = status == TERCET_OK ? tercet_hold(model, ports->input_count + ports->output_count) : NULL;
    if (!handle) {
        tercet_destroy(model);
        status = status == TERCET_OK ? TERCET_NO_MEMORY : status;
        return fail("RuntimeError", status == TERCET_NO_THREAD ? "create: worker threads cannot be started"
                                                               : tercet_status_text(status));
    }
    *result = (struct tercet_ffi_value){.kind = TERCET_FFI_POINTER, .as.pointer = handle};
    return 0;
}

/* Of a model that this thread has. */
static int run(const struct tercet_held *held, const struct tercet_ffi_ports *ports,
               const struct tercet_ffi_value *tensors) {
    int64_t batch = -1;
    for (int i = 0; i < ports->input_count + ports->output_count; i++) {
        int is_input = i < ports->input_count;
        const struct tercet_ffi_port *port = is_input ? &ports->inputs[i] : &ports->outputs[i - ports->input_count];
        const struct tensor *tensor = tensor_of(&tensors[i]);
        if (!tensor || !fits(tensor, port, &batch)) {
            return fail_misfit(port, is_input ? "input" : "output", tensor, batch);
        }
        held->places[i] = tensor->data ? (char *)tensor->data + tensor->offset : NULL;
    }
    int status = TERCET_OK;
    if (batch != 0) {
        const void *const *inputs = (const void *const *)held->places;
        status = tercet_run(held->model, batch < 0 ? 1 : batch, inputs, held->places + ports->input_count, -1, NULL);
    }
    if (status == TERCET_NO_THREAD) {
        return fail("RuntimeError", "run: the model was created before a fork; create one in this process");
    }
    return status == TERCET_OK ? 0 : fail("RuntimeError", tercet_status_text(status));
}

int tercet_ffi_run(const struct tercet_ffi_ports *ports, const struct tercet_ffi_value *arguments, int32_t count,
                   struct tercet_ffi_value *result) {
    if (count != ports->input_count + ports->output_count + 1 || arguments->kind != TERCET_FFI_POINTER) {
        char text[160];
        snprintf(text, sizeof text, "run: expected what create gave, then %d inputs and %d outputs, which are written",
                 ports->input_count, ports->output_count);
        return fail("TypeError", text);
    }
    struct tercet_held *held = take("run", arguments->as.pointer);
    if (!held) {
        return -1;
    }
    int code = run(held, ports, arguments + 1);
    tercet_put_back(held);
    *result = (struct tercet_ffi_value){.kind = TERCET_FFI_NONE};
    return code;
}

int tercet_ffi_destroy(const struct tercet_ffi_value *arguments, int32_t count, struct tercet_ffi_value *result) {
    if (count != 1 || arguments->kind != TERCET_FFI_POINTER) {
        return fail("TypeError", "destroy: expected what create gave");
    }
    struct tercet_held *held = take("destroy", arguments->as.pointer);
    if (!held) {
        return -1;
    }
    tercet_let_go(held);
    *result = (struct tercet_ffi_value){.kind = TERCET_FFI_NONE};
    return 0;
}
