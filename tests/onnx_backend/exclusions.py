"""The node tests that apply by their operators but are not run: pattern of the name (after `test_`) -> reason.

Tensors inside tercet are float32 or integers of up to 64 signed bits; a model is compiled for inference.
"""

TINY_FLOATS = "8- and 4-bit floats are no element type of tercet"
OTHER_FLOATS = "float16, bfloat16 and float64 are no element type of tercet"
INTERPOLATION = "interpolation other than nearest"

EXCLUSIONS: dict[str, str] = {
    r"cast(like)?_.*FLOAT(4E2M1|8E).*": TINY_FLOATS,
    r"cast(like)?_(FLOAT16_to|DOUBLE_to|BFLOAT16_to)_.*": OTHER_FLOATS,
    r"cast(like)?_.*_to_(FLOAT16|DOUBLE|BFLOAT16)(_expanded)?": OTHER_FLOATS,
    r"cast(like)?_FLOAT_to_U?INT[24](_expanded)?": "floats out of range, undefined in ONNX: the data wraps",
    r"(de)?quantizelinear_(e4m3fn|e5m2|float4e2m1).*": TINY_FLOATS,
    r"qlinearmatmul_.*_float16": "scales in float16",
    r"qlinearmatmul_.D_int8_float32": "the data wraps (-236 -> 20) where ONNX says saturate; onnxruntime: -128",
    r"(add|sub|mul|div|top_k)_uint64": "uint64 does not fit into the signed 64 bits of an integer tensor",
    r"batchnorm_.*_training_mode": "training mode",
    r"training_dropout(_default)?(_mask)?": "training mode: random values",
    r"identity_opt": "an optional is no tensor",
    r"identity_sequence": "a sequence is no tensor",
    r"maxpool_with_argmax_.*": "the second output, Indices, is for training and MaxUnpool",
    r"resize_.*_(linear|cubic).*": INTERPOLATION,
    r"resize_tf_crop_and_resize.*": INTERPOLATION,
}
