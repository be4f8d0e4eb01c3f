/* Calls from tvm-ffi: arguments and tensors as its C interface passes them (tvm/ffi/c_api.h and dlpack.h, version 0.1 of
 * tvm-ffi and 1 of DLPack). Nothing of tvm-ffi is needed to build a model or to run it otherwise. */
#ifndef TERCET_FFI_H
#define TERCET_FFI_H

#include "tercet_runtime.h"

/* One argument or result: what it is, and its value. */
enum tercet_ffi_kind {
    TERCET_FFI_NONE = 0,
    TERCET_FFI_INT = 1,
    TERCET_FFI_POINTER = 4,
    TERCET_FFI_TENSOR_POINTER = 7, /* to a DLTensor */
    TERCET_FFI_TENSOR = 70         /* to an object that a DLTensor follows */
};
struct tercet_ffi_value {
    int32_t kind, padding;
    union {
        int64_t integer;
        void *pointer;
    } as;
};

/* Elements of models, as DLPack numbers them. */
enum tercet_ffi_elements { TERCET_FFI_SIGNED = 0, TERCET_FFI_UNSIGNED = 1, TERCET_FFI_FLOAT = 2, TERCET_FFI_BOOL = 6 };

/* An input or output: its name in the model, as UTF-8 of at most 100 bytes, the type of elements, and its shape, in which
 * -1 is the batch. */
struct tercet_ffi_port {
    const char *name;
    int kind, bits, rank;
    const int64_t *shape;
};
struct tercet_ffi_ports {
    const struct tercet_ffi_port *inputs, *outputs;
    int input_count, output_count;
};

/* The functions `create`, `run` and `destroy` of a model; see the generated PREFIX_ffi.c. They return 0, or -1 after they
 * have told tvm-ffi what is wrong. Threads may share a model: runs of one then wait for each other. */
int tercet_ffi_create(const struct tercet_definition *const *definitions, const struct tercet_ffi_ports *ports,
                      const struct tercet_ffi_value *arguments, int32_t count, struct tercet_ffi_value *result);
int tercet_ffi_run(const struct tercet_ffi_ports *ports, const struct tercet_ffi_value *arguments, int32_t count,
                   struct tercet_ffi_value *result);
int tercet_ffi_destroy(const struct tercet_ffi_value *arguments, int32_t count, struct tercet_ffi_value *result);

#endif
