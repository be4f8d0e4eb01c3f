"""Small torch modules, and their outputs by tercet's interpreter and by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'tercet[torch]'")

from tercet.backends.reference.interpreter import run  # noqa: E402
from tercet.driver.source import import_model  # noqa: E402
from tercet.ir.program import Program  # noqa: E402


class Function(torch.nn.Module):
    """A function as a module. constants: tensors that it is called with after its inputs, as buffers."""

    def __init__(self, function: Callable[..., Any], *constants: Any) -> None:
        super().__init__()
        self.function, self.count = function, len(constants)
        for i, constant in enumerate(constants):
            self.register_buffer(f"c{i}", constant)

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs, *(getattr(self, f"c{i}") for i in range(self.count)))


def module_of(function: Callable[..., Any], *constants: Any) -> Any:
    return Function(function, *constants).eval()


def floats(*shape: int, seed: int = 0) -> Any:
    return torch.from_numpy(np.asarray(np.random.default_rng(seed).standard_normal(shape), np.float32))


def integers(lo: int, hi: int, *shape: int, dtype: Any = None, seed: int = 0) -> Any:
    """Uniform in lo..hi, both included; int64 by default."""
    values = np.random.default_rng(seed).integers(lo, hi, shape, endpoint=True)
    return torch.from_numpy(values).to(dtype or torch.int64)


def trained(layer: Any) -> Any:
    """With parameters and statistics other than at the beginning."""
    for i, (name, tensor) in enumerate(layer.state_dict().items()):
        if tensor.is_floating_point():
            values = floats(*tensor.shape, seed=i) * 0.5
            tensor.copy_(values.abs() + 0.5 if "var" in name else values)
    return layer.eval()


def interpreted(program: Program, inputs: Any) -> dict[str, np.ndarray]:
    """The outputs of the program, which is verified and sent through its text first."""
    program.verify()
    text = program.text()
    again = Program.parse(text, program.weights)
    assert again.text() == text
    return run(again, {port.name: x.detach().numpy() for port, x in zip(program.inputs, inputs, strict=True)})


def expected(module: Any, inputs: Any) -> list[np.ndarray]:
    with torch.no_grad():
        y = module(*inputs)
    return [part.numpy() for part in (y if isinstance(y, tuple | list) else [y])]


def assert_close(have: np.ndarray, want: np.ndarray, relative: float = 1e-5) -> None:
    """Equal shape and dtype; integers equal, floats within `relative` of the largest."""
    assert have.shape == want.shape
    assert have.dtype == want.dtype
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(have, want)
    else:
        largest = float(np.abs(want[np.isfinite(want)]).max(initial=0))
        np.testing.assert_allclose(have, want, rtol=0, atol=relative * max(largest, 1e-30))


def assert_like_torch(
    module: Any, *inputs: Any, dynamic: bool = False, relative: float = 1e-5, **options: Any
) -> Program:
    """The imported module computes what torch does. dynamic: with a batch of any size, of which 1 and 3 are tried."""
    shapes = None
    if dynamic:
        batch = torch.export.Dim("batch", min=1, max=1024)
        shapes = (
            (tuple({0: batch} for _ in inputs),) if isinstance(module, Function) else tuple({0: batch} for _ in inputs)
        )
    program = import_model(module, inputs, dynamic_shapes=shapes, **options)
    assert program.batched == dynamic
    for count in (1, 3) if dynamic else (None,):
        feeds = inputs if count is None else [x[:1].repeat(count, *[1] * (x.ndim - 1)) + x[:1] * 0 for x in inputs]
        if count == 3:
            feeds = [torch.cat([x, x.flip(0)])[:3] for x in inputs]
        have, want = interpreted(program, feeds), expected(module, feeds)
        assert len(have) == len(want)
        for array, y in zip(have.values(), want, strict=True):
            assert_close(array, y, relative)
    return program
