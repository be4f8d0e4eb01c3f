/* From the stored constants of a model to the bytes that its kernels read. */
#ifndef TERCET_WEIGHTS_H
#define TERCET_WEIGHTS_H

#include "tercet_runtime.h"

/* Expands every section of a definition into `weights` (definition->weight_bytes bytes, zeroed). TERCET_BAD_ARGUMENT
 * where a section does not fit the weights or its bytes are not what it says; never reads or writes outside either. */
int tercet_expand_weights(const struct tercet_definition *definition, unsigned char *weights);

#endif
