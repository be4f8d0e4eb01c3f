"""The C backend: engines that compute kernels, targets as data, code generation and the C compiler."""
