"""TensorProto to numpy, every field checked first: the file is untrusted, and what disagrees is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ...ir.errors import ModelError
from ..ports import checked_dims
from .external import read_external

_FIELDS = ("raw_data", "float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_NOT_NUMBERS: dict[int, str] = {
    TensorProto.STRING: "strings",
    TensorProto.COMPLEX64: "complex numbers",
    TensorProto.COMPLEX128: "complex numbers",
}
_BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}


def dtype_of(data_type: int, *, where: str) -> np.dtype:
    """The numpy dtype of an ONNX data type. Raises ModelError for unknown types and for strings and complex numbers."""
    if data_type in _NOT_NUMBERS:
        raise ModelError(
            f"holds {_NOT_NUMBERS[data_type]}", where=where, hint="tercet compiles tensors of real numbers only"
        )
    if data_type == TensorProto.UNDEFINED or data_type not in TensorProto.DataType.values():
        raise ModelError(f"has the unknown data type {data_type}", where=where)
    return np.dtype(helper.tensor_dtype_to_np_dtype(data_type))


def check_tensor(proto: TensorProto, *, where: str) -> tuple[int, int]:
    """The number of elements and of bytes (packed), after a look at everything but the data.

    Raises ModelError: unknown type, negative or absurd dims, a segment, values given twice or in the wrong field.
    """
    dtype = dtype_of(proto.data_type, where=where)
    count = checked_dims(list(proto.dims), where=where)
    if proto.HasField("segment"):
        raise ModelError("is a segment of a larger tensor", where=where, hint="export the model with whole tensors")
    given = [name for name in _FIELDS if getattr(proto, name)]
    if proto.data_location == TensorProto.EXTERNAL:
        given.insert(0, "external data")
    if len(given) > 1:
        raise ModelError(f"gives its values more than once: in {' and '.join(given)}", where=where)
    allowed = ("external data", "raw_data", helper.tensor_dtype_to_field(proto.data_type))
    if given and given[0] not in allowed:
        raise ModelError(f"gives {dtype.name} values in the field {given[0]}", where=where)
    return count, -(-count * _BITS.get(proto.data_type, 8 * dtype.itemsize) // 8)


def decode(proto: TensorProto, *, where: str, folder: Path | None) -> np.ndarray:
    """The tensor as a read-only array of its dims; 4- and 2-bit integers have the dtypes of ml_dtypes.

    folder: where external data may lie; None refuses it. Raises ModelError (see `check_tensor`, `read_external`), and
    for data that does not fill the shape, values outside the type, and NaN.
    """
    count, size = check_tensor(proto, where=where)
    if proto.data_location == TensorProto.EXTERNAL:
        raw = read_external(proto, size, where=where, folder=folder)
        proto = TensorProto(data_type=proto.data_type, dims=proto.dims, raw_data=raw)
    elif proto.raw_data:
        if len(proto.raw_data) != size:
            raise ModelError(
                f"raw_data holds {len(proto.raw_data)} bytes, but its shape {list(proto.dims)} needs {size}",
                where=where,
            )
    else:
        _check_typed(proto, count, where=where)
    array = numpy_helper.to_array(proto) if count else np.zeros(proto.dims, dtype_of(proto.data_type, where=where))
    _check_values(array, where=where)
    array.flags.writeable = False
    return array


def _check_typed(proto: TensorProto, count: int, *, where: str) -> None:
    """Number and range of the values in float_data, int32_data, ...: protobuf's fields are wider than the types."""
    name = helper.tensor_dtype_to_field(proto.data_type)
    values = getattr(proto, name)
    packed = 8 // _BITS.get(proto.data_type, 8)
    if len(values) != -(-count // packed):
        shape = list(proto.dims)
        if not values:
            raise ModelError(f"has the shape {shape} but no data", where=where)
        raise ModelError(f"{name} holds {len(values)} values, but its shape {shape} needs {count}", where=where)
    dtype = dtype_of(proto.data_type, where=where)
    if not count or dtype.kind not in "iub":
        return
    wide = np.array(values, dtype=np.uint64 if name == "uint64_data" else np.int64)
    lo, hi = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if not (lo <= int(wide.min()) and int(wide.max()) <= hi):
        raise ModelError(f"{name} holds values outside {dtype.name}", where=where)


def _check_values(array: np.ndarray, *, where: str) -> None:
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise ModelError("holds booleans other than 0 and 1", where=where)
    if "float" in array.dtype.name and bool(np.isnan(array).any()):
        raise ModelError("holds NaN", where=where, hint="the training of this model may have diverged")
