"""One file for each family of operators; importing this package fills the table of `registry`."""

from . import (  # noqa: F401
    activations,
    channels_last,
    constants,
    convolution,
    dynamic_quantization,
    elementwise,
    linear,
    logic,
    movement,
    normalization,
    padding,
    pooling,
    qlinear,
    qonnx,
    quantize_linear,
    quantized_ops,
    reductions,
    resize,
    shape,
    transposed,
)
