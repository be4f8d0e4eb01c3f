"""The node tests that apply by their operators but are not run: pattern of the name (after `test_`) -> reason.

Tensors inside tercet are float32 or integers of up to 64 signed bits, also where the model has float16 or float64; a
model is compiled for inference.
"""

TINY_FLOATS = "8- and 4-bit floats are no element type of tercet"
UINT64 = "uint64 does not fit into the signed 64 bits of an integer tensor"
BFLOAT16 = "a port of bfloat16 is float32"
ANTIALIAS = "antialias"
FRACTION = "a size that is not whole counts; in onnxruntime the floored one"

EXCLUSIONS: dict[str, str] = {
    r"cast(like)?_.*FLOAT(4E2M1|8E).*": TINY_FLOATS,
    r"cast(like)?_(BFLOAT16_to_.*|.*_to_BFLOAT16(_expanded)?)": BFLOAT16,
    r"cast(like)?_FLOAT_to_U?INT[24](_expanded)?": "floats out of range, undefined in ONNX: the data wraps",
    r"(de)?quantizelinear_(e4m3fn|e5m2|float4e2m1).*": TINY_FLOATS,
    r"qlinearmatmul_.*_float16": "scales in float16",
    r"qlinearmatmul_.D_int8_float32": "the data wraps (-236 -> 20) where ONNX says saturate; onnxruntime: -128",
    r"(add|sub|mul|div|top_k|max|min|equal|(greater|less)(_equal)?)_uint64(_expanded)?": UINT64,
    r"batchnorm_.*_training_mode": "training mode",
    r"training_dropout(_default)?(_mask)?": "training mode: random values",
    r"identity_opt": "an optional is no tensor",
    r"identity_sequence": "a sequence is no tensor",
    r"maxpool_with_argmax_.*": "the second output, Indices, is for training and MaxUnpool",
    r"resize_.*_antialias.*": ANTIALIAS,
    r"resize_downsample_scales_(linear|cubic)_align_corners": FRACTION,
    r"center_crop_pad_.*_expanded": "shapes computed at run time",
    r"equal_string(_broadcast)?": "strings",
    r"convtranspose_3d": "convolutions have one or two spatial axes",
    r"einsum_batch_diagonal": "diagonals in Einsum",
    r"nonzero_example": "a shape that depends on values",
    r"not_[234]d": "opset 1",
}
