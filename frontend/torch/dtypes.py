"""Tensors of torch as arrays of numpy, and back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch

from ..values import Refusal

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_PLAIN = {
    getattr(torch, name): np.dtype(name)
    for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
}
_DTYPES = {**_PLAIN, torch.bfloat16: _BFLOAT16}
_BACK = {numpy: own for own, numpy in _DTYPES.items()}


def numpy_dtype(dtype: torch.dtype) -> np.dtype:
    """Raises Refusal for dtypes that tercet does not compile."""
    if dtype not in _DTYPES:
        raise Refusal(f"dtype {str(dtype).removeprefix('torch.')} is not supported")
    return _DTYPES[dtype]


def torch_dtype(dtype: np.dtype) -> torch.dtype:
    return _BACK[dtype]


def to_array(tensor: torch.Tensor) -> np.ndarray:
    """A dense tensor on any device. Raises Refusal for dtypes that tercet does not compile, and without data."""
    numpy = numpy_dtype(tensor.dtype)
    if tensor.is_meta:
        raise Refusal("is on the device 'meta', which holds no numbers; load the weights first")
    plain = tensor.detach().cpu().contiguous()
    if numpy == _BFLOAT16:
        return plain.view(torch.int16).numpy().view(_BFLOAT16)
    return plain.numpy()


def without_bfloat16(tensor: torch.Tensor) -> torch.Tensor:
    """What artifacts take: float32 for bfloat16, which NumPy does not have; other tensors as they are."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def to_tensor(array: np.ndarray) -> torch.Tensor:
    whole = np.ascontiguousarray(array).reshape(array.shape)
    if array.dtype == _BFLOAT16:
        return torch.from_numpy(whole.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(whole.copy())
