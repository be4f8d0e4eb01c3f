"""Shapes, movement, reductions and searches against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto

from tercet.frontend.onnx import import_model
from tercet.ir.errors import ModelError, UnsupportedError
from tercet.ir.types import element_of, range_of

from .helpers import assert_like_onnxruntime, floats, integers, interpreted, model, node

I64 = np.int64


def check(
    nodes: NodeProto | list[NodeProto], shape: tuple[int, ...], constants: dict[str, Any] | None = None, **options: Any
) -> None:
    feeds = {"x": floats(*shape)}
    arrays = {name: np.array(value, I64) for name, value in (constants or {}).items()}
    assert_like_onnxruntime(model(nodes, feeds, arrays, **options), feeds)


@pytest.mark.parametrize("target", [[4, 6], [-1], [0, -1], [2, 0, -1], [1, 24, 1], [0, 0, 0]])
def test_reshape(target: list[int]) -> None:
    check(node("Reshape", "x s"), (2, 3, 4), {"s": target})


def test_reshape_allowzero() -> None:
    check(node("Reshape", "x s", allowzero=1), (0, 3), {"s": [3, 0]})


@pytest.mark.parametrize("target", [[5, 5], [-1, -1], [0, 0, 0, 0], [-2, 12], [7, -1]])
def test_reshape_refuses(target: list[int]) -> None:
    with pytest.raises(ModelError, match="node 'Reshape_y'"):
        import_model(model(node("Reshape", "x s"), {"x": floats(2, 3, 4)}, {"s": np.array(target, I64)}))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_flatten(axis: int) -> None:
    check(node("Flatten", "x", axis=axis), (2, 3, 4))


@pytest.mark.parametrize("perm", [None, [1, 2, 0]])
def test_transpose(perm: list[int] | None) -> None:
    check(node("Transpose", "x", **({"perm": perm} if perm else {})), (2, 3, 4))


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(opset: int) -> None:
    for axes in ([1], [1, -1]):
        for op_type, shape in (("Squeeze", (2, 1, 3, 1)), ("Unsqueeze", (2, 3))):
            if opset == 11:
                check(node(op_type, "x", axes=axes), shape, opset=opset)
            else:
                check(node(op_type, "x a"), shape, {"a": axes}, opset=opset)
    check(node("Squeeze", "x"), (1, 2, 1), opset=opset)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(axis: int) -> None:
    shapes = [[2, 3, 4], [2, 3, 4]]
    shapes[1][axis] = 5
    feeds = {"a": floats(*shapes[0]), "b": floats(*shapes[1], seed=1)}
    assert_like_onnxruntime(model(node("Concat", "a b", axis=axis), feeds), feeds)


@pytest.mark.parametrize(
    ("opset", "inputs", "attributes"),
    [
        (11, "x", {"axis": 1}),
        (11, "x", {"axis": -1, "split": [1, 3]}),
        (13, "x s", {"axis": 2}),
        (18, "x", {"axis": 1, "num_outputs": 2}),
        (18, "x", {"axis": 2, "num_outputs": 2}),
    ],
)
def test_split(opset: int, inputs: str, attributes: dict[str, Any]) -> None:
    shape = (2, 6, 4) if opset < 18 else (2, 5, 4)
    split = node("Split", inputs, "y z", **attributes)
    check(split, shape, {"s": [3, 1]} if "s" in inputs else {}, opset=opset, outputs=dict.fromkeys("yz", np.float32))


SLICES: dict[str, tuple[list[int], list[int], list[int] | None, list[int] | None]] = {
    "plain": ([1, 0], [2, 3], None, None),
    "axes": ([1], [10000], [-1], None),
    "negative": ([-3], [-1], [1], [1]),
    "steps": ([0, 1], [5, 100], [1, 2], [2, 3]),
    "reversed": ([-1], [-1000], [1], [-1]),
    "reversed to the start": ([2**62], [-(2**62)], [2], [-2]),
    "reversed part": ([4], [0], [1], [-2]),
    "empty": ([3], [1], [1], [1]),
    "clamped": ([-100], [100], [1], [1]),
}


@pytest.mark.parametrize("case", SLICES)
def test_slice(case: str) -> None:
    starts, ends, axes, steps = SLICES[case]
    constants = {"s": starts, "e": ends, "a": axes or list(range(len(starts))), "t": steps or [1] * len(starts)}
    check(node("Slice", "x s e a t"), (3, 5, 7), constants)
    if steps is None:
        attributes = {"starts": starts, "ends": ends, **({"axes": axes} if axes else {})}
        check(node("Slice", "x", **attributes), (3, 5, 7), opset=9)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("pads", [[0, 1, 2, 0, 2, 1], [0, -1, 1, 0, 2, -1], [0, 0, -1, 0, 0, 2]])
def test_pad(mode: str, pads: list[int]) -> None:
    check(node("Pad", "x p", mode=mode), (2, 4, 5), {"p": pads}, opset=19)


def test_pad_value_and_axes() -> None:
    feeds = {"x": floats(2, 3, 4)}
    constants = {"p": np.array([1, 0, 2, 3], I64), "v": np.array(1.5, np.float32), "a": np.array([-1, 1], I64)}
    assert_like_onnxruntime(model(node("Pad", "x p v a"), feeds, constants, opset=18), feeds)
    assert_like_onnxruntime(model(node("Pad", "x", pads=[0, 1, 0, 0, 0, 2], value=2.5), feeds, opset=10), feeds)
    whole = {"x": integers(-5, 5, 2, 3, dtype=np.int32)}
    value = {"p": np.array([1, 0, 0, 1], I64), "v": np.array(-7, np.int32)}
    assert_like_onnxruntime(model(node("Pad", "x p v"), whole, value, outputs={"y": np.int32}), whole)


@pytest.mark.parametrize(("axis", "indices"), [(0, [1, 0, 1]), (1, [[0, -1], [2, 1]]), (-1, 2)])
def test_gather(axis: int, indices: Any) -> None:
    check(node("Gather", "x i", axis=axis), (2, 3, 4), {"i": indices})


def test_gather_by_runtime_indices() -> None:
    feeds = {"i": integers(0, 4, 2, 3)}
    assert_like_onnxruntime(model(node("Gather", "w i"), feeds, {"w": floats(5, 4)}), feeds)


def test_gather_checks_constant_indices() -> None:
    with pytest.raises(ModelError, match="an index is outside axis 0 of size 2"):
        import_model(model(node("Gather", "x i"), {"x": floats(2, 3)}, {"i": np.array([2], I64)}))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    check(node("DepthToSpace", "x", blocksize=2, mode=mode), (2, 8, 3, 4))


def test_space_to_depth() -> None:
    check(node("SpaceToDepth", "x", blocksize=2), (2, 3, 4, 6))


@pytest.mark.parametrize(("axes", "keepdims"), [([1], 1), ([-1, 0], 0), (None, 1), (None, 0)])
@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("op_type", ["Mean", "Max", "Min", "Sum", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"])
def test_reductions(op_type: str, axes: list[int] | None, keepdims: int, opset: int) -> None:
    op_type = f"Reduce{op_type}"
    if op_type == "ReduceLogSum":
        nodes = [node("Abs", "x", "m"), node(op_type, "m", keepdims=keepdims)]
        check(nodes, (2, 3, 4), opset=opset)
    elif (opset == 18 or op_type == "ReduceSum") and axes:
        check(node(op_type, "x a", keepdims=keepdims), (2, 3, 4), {"a": axes}, opset=opset)
    else:
        check(node(op_type, "x", keepdims=keepdims, **({"axes": axes} if axes else {})), (2, 3, 4), opset=opset)


@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceSumSquare"])
def test_reductions_of_integers(op_type: str) -> None:
    """Exact, with the range of the elements' sum."""
    feeds = {"x": integers(-9, 9, 2, 3, 4, dtype=np.int32)}
    reduction = node(op_type, "x", keepdims=0)
    assert_like_onnxruntime(model(reduction, feeds, outputs={"y": np.int32}, opset=18), feeds)
    few = [node("Clip", "x lo hi", "c"), node(op_type, "c", keepdims=0)]
    bounds = {"lo": np.array(-2, np.int32), "hi": np.array(1, np.int32)}
    kind = import_model(model(few, feeds, bounds, outputs={"y": np.int32}, opset=18)).outputs[0].type
    ranges = {"ReduceSum": (-48, 24), "ReduceL1": (0, 48), "ReduceSumSquare": (0, 96)}
    assert range_of(element_of(kind)) == ranges.get(op_type, (-2, 1))


def test_sums_of_integers_wrap() -> None:
    feeds = {"x": np.full((4,), 2**31 - 1, np.int32)}
    source = model(node("ReduceSum", "x", keepdims=0), feeds, outputs={"y": np.int32})
    assert interpreted(source, feeds)["y"] == -4


def test_reduce_mean_noop() -> None:
    check(node("ReduceMean", "x", noop_with_empty_axes=1), (2, 3), opset=18)


@pytest.mark.parametrize("op_type", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize(("axis", "keepdims"), [(0, 1), (1, 0), (-1, 1)])
def test_arg(op_type: str, last: int, axis: int, keepdims: int) -> None:
    feeds = {"x": integers(0, 2, 3, 4, 5).astype(np.float32)}
    search = node(op_type, "x", axis=axis, keepdims=keepdims, select_last_index=last)
    assert_like_onnxruntime(model(search, feeds, outputs={"y": I64}), feeds)


@pytest.mark.parametrize("opset", [7, 10, 13])
@pytest.mark.parametrize("axis", [0, -1])
def test_top_k(opset: int, axis: int) -> None:
    outputs = {"y": np.float32, "i": I64}
    feeds = {"x": floats(4, 5)}
    if opset == 7:
        source = model(node("TopK", "x", "y i", axis=axis, k=3), feeds, outputs=outputs, opset=7)
    else:
        extra = {"largest": 0} if opset == 13 else {}
        constants = {"k": np.array([3], I64)}
        source = model(node("TopK", "x k", "y i", axis=axis, **extra), feeds, constants, outputs=outputs, opset=opset)
    assert_like_onnxruntime(source, feeds)


TRANSFORMS = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("scales", [[1, 1, 2, 3], [1, 1, 0.5, 0.6], [1, 1, 1.7, 2.3]])
def test_resize_by_scales(transform: str, nearest: str, scales: list[float]) -> None:
    feeds = {"x": floats(1, 2, 5, 6)}
    resize = node("Resize", "x - s", coordinate_transformation_mode=transform, nearest_mode=nearest)
    source = model(resize, feeds, {"s": np.array(scales, np.float32)}, opset=19)
    assert_like_onnxruntime(source, feeds)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("sizes", [[1, 2, 7, 4], [1, 2, 1, 12]])
def test_resize_by_sizes(transform: str, sizes: list[int]) -> None:
    check(node("Resize", "x - - s", coordinate_transformation_mode=transform), (1, 2, 5, 6), {"s": sizes}, opset=19)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("scales", [[1, 1, 2, 3], [1, 1, 0.5, 0.6], [1, 1, 1.7, 2.3], [1, 1, 1, 2]])
def test_interpolation_by_scales(transform: str, mode: str, scales: list[float]) -> None:
    feeds = {"x": floats(1, 2, 5, 6)}
    resize = node("Resize", "x - s", coordinate_transformation_mode=transform, mode=mode)
    assert_like_onnxruntime(model(resize, feeds, {"s": np.array(scales, np.float32)}, opset=19), feeds)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("attributes", [{}, {"exclude_outside": 1}, {"cubic_coeff_a": -0.5}])
@pytest.mark.parametrize("sizes", [[1, 2, 7, 4], [1, 2, 1, 12], [1, 2, 9, 3]])
def test_cubic_by_sizes(transform: str, attributes: dict[str, Any], sizes: list[int]) -> None:
    resize = node("Resize", "x - - s", mode="cubic", coordinate_transformation_mode=transform, **attributes)
    check(resize, (1, 2, 5, 6), {"s": sizes}, opset=19)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "region", [(0.2, 0.6, 0.7, 0.9), (0.0, 0.0, 1.0, 1.0), (-0.3, 0.5, 0.4, 1.6), (0.8, 0.1, 0.1, 0.6)]
)
@pytest.mark.parametrize("sizes", [[1, 1, 3, 3], [1, 1, 4, 6], [1, 1, 7, 1]])
def test_crop_and_resize(mode: str, region: tuple[float, ...], sizes: list[int]) -> None:
    """Also turned round, and beyond the borders."""
    feeds, (top, left, bottom, right) = {"x": floats(1, 1, 4, 5)}, region
    resize = node(
        "Resize", "x r - s", mode=mode, coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.0
    )
    roi = np.array([0, 0, top, left, 1, 1, bottom, right], np.float32)
    assert_like_onnxruntime(model(resize, feeds, {"r": roi, "s": np.array(sizes)}, opset=19), feeds)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"antialias": 1, "mode": "linear"}, "antialias is not supported"),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize with scales"),
        ({"mode": "lanczos"}, "only nearest, linear and cubic"),
    ],
)
def test_resizes_that_are_refused(attributes: dict[str, Any], message: str) -> None:
    scales = {"s": np.array([1, 1, 2, 2], np.float32)}
    with pytest.raises(UnsupportedError, match=message):
        import_model(model(node("Resize", "x - s", **attributes), {"x": floats(1, 2, 3, 4)}, scales, opset=19))


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller", "stretch"])
def test_resize_of_axes(policy: str) -> None:
    resize = node("Resize", "x - - s", axes=[2, 3], keep_aspect_ratio_policy=policy)
    check(resize, (1, 2, 5, 6), {"s": [7, 14]}, opset=18)


def test_older_resizes() -> None:
    feeds = {"x": floats(1, 2, 3, 4)}
    scales = {"s": np.array([1, 1, 2, 2], np.float32)}
    assert_like_onnxruntime(model(node("Resize", "x s", mode="nearest"), feeds, scales, opset=10), feeds)
    assert_like_onnxruntime(model(node("Upsample", "x s", mode="nearest"), feeds, scales, opset=9), feeds)
    assert_like_onnxruntime(model(node("Upsample", "x", scales=[1.0, 1.0, 2.0, 3.0]), feeds, opset=7), feeds)
    tf = node("Resize", "x r s", coordinate_transformation_mode="tf_half_pixel_for_nn", nearest_mode="floor")
    roi = {"r": np.zeros(0, np.float32)}
    assert_like_onnxruntime(model(tf, feeds, {**scales, **roi}, opset=11), feeds)


def test_constants() -> None:
    feeds = {"x": floats(2, 3)}
    nodes = [
        node("Constant", "", "one", value_floats=[1.0, 2.0, 3.0]),
        node("Constant", "", "shape", value_ints=[1, 3]),
        node("ConstantOfShape", "shape", "zeros"),
        node("Shape", "x", "size", start=1),
        node("Add", "x one", "a"),
        node("Add", "a zeros", "y"),
    ]
    assert_like_onnxruntime(model(nodes, feeds, outputs={"y": np.float32, "size": I64}), feeds)


def test_what_is_not_constant_is_refused() -> None:
    feeds = {"x": floats(2, 3), "s": np.array([3, 2], I64)}
    with pytest.raises(UnsupportedError, match=r"node 'Reshape_y' \(Reshape\): the shape must be constant"):
        import_model(model(node("Reshape", "x s"), feeds))


def test_dropout_mask_is_all_true() -> None:
    feeds = {"x": floats(2, 3)}
    y = interpreted(model(node("Dropout", "x", "y m"), feeds, outputs={"y": np.float32, "m": np.bool_}), feeds)
    assert y["m"].dtype == np.bool_
    assert y["m"].all()
