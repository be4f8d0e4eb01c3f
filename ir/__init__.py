"""The intermediate representation: types, the dialects `tn` (graph) and `kn` (kernels), programs and their weights."""
