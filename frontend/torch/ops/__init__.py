"""One file for each family of operators; importing this package fills the table of `registry`."""

from . import (  # noqa: F401
    activations,
    attention,
    comparisons,
    constants,
    convolution,
    elementwise,
    linear,
    movement,
    normalization,
    padding,
    pooling,
    quantized,
    reductions,
    resize,
    shape,
)
