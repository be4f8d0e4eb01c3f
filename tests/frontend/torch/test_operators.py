"""Each operator against torch, on random inputs: odd shapes, strides, pads, groups."""

from __future__ import annotations

from typing import Any

import pytest

from tercet.driver.source import import_model

from .helpers import assert_like_torch, floats, integers, module_of, torch, trained

F = torch.nn.functional
nn = torch.nn


def _positive(*shape: int) -> Any:
    return floats(*shape).abs() + 0.25


UNARY = {
    "neg": torch.neg,
    "abs": torch.abs,
    "exp": torch.exp,
    "erf": torch.erf,
    "tanh": torch.tanh,
    "round": torch.round,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "sign": torch.sign,
    "square": torch.square,
    "expm1": torch.expm1,
    "relu": F.relu,
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardtanh between": lambda x: F.hardtanh(x, -0.5, 0.25),
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "silu": F.silu,
    "mish": F.mish,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu": F.elu,
    "elu alpha": lambda x: F.elu(x, 0.3),
    "celu": lambda x: F.celu(x, 0.7),
    "selu": F.selu,
    "leaky_relu": F.leaky_relu,
    "leaky_relu 0.2": lambda x: F.leaky_relu(x, 0.2),
    "softplus": F.softplus,
    "softplus beta": lambda x: F.softplus(x, 2.0),
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "glu": lambda x: F.glu(x, 1),
    "tanhshrink": F.tanhshrink,
    "clamp": lambda x: x.clamp(-0.5, 0.75),
    "clamp low": lambda x: x.clamp(min=-0.1),
    "clamp high": lambda x: x.clamp_max(0.2),
    "dropout": lambda x: F.dropout(x, 0.5, False),
    "softmax": lambda x: F.softmax(x, 1),
    "softmax -1": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, 2),
    "to double": lambda x: x.double() * 2,
    "to int": lambda x: (x * 3).to(torch.int32),
    "to bool": lambda x: x.to(torch.bool),
    "half": lambda x: (x.half()).float() * 0,
    "pow 2": lambda x: x**2,
    "pow 3": lambda x: x**3,
    "rsub": lambda x: 2.5 - x,
    "div": lambda x: x / 3,
    "rdiv": lambda x: 1 / (x + 10),
    "div floor": lambda x: torch.div(x, 0.3, rounding_mode="floor"),
    "div trunc": lambda x: torch.div(x, 0.3, rounding_mode="trunc"),
    "floor_divide": lambda x: x // 0.7,
    "ge": lambda x: x >= 0.1,
    "gt": lambda x: x > 0,
    "le": lambda x: x <= 0.3,
    "lt": lambda x: x < 0.2,
    "eq": lambda x: x.round() == 1,
    "ne": lambda x: x.round() != 1,
    "not": lambda x: ~(x > 0),
    "logical_not": torch.logical_not,
    "where scalar": lambda x: torch.where(x > 0, x, -1.0),
    "where two scalars": lambda x: torch.where(x > 0, 1.0, -1.0),
    "masked_fill": lambda x: x.masked_fill(x > 0.5, 9.0),
    "and": lambda x: (x > 0) & (x < 1),
    "or": lambda x: (x > 1) | (x < -1),
    "any": lambda x: (x > 1).any(1),
    "all": lambda x: (x > -1).all(),
    "any keepdim": lambda x: x.any(-1, keepdim=True),
    "logical_and": lambda x: torch.logical_and(x, x > 0),
    "mean": lambda x: x.mean(),
    "mean dim": lambda x: x.mean(1),
    "mean dims": lambda x: x.mean((1, -1), keepdim=True),
    "sum": lambda x: x.sum(),
    "sum dim": lambda x: x.sum(-1, keepdim=True),
    "sum bool": lambda x: (x > 0).sum(1),
    "amax": lambda x: x.amax(1),
    "amin": lambda x: x.amin((0, 2), keepdim=True),
    "max": lambda x: x.max(),
    "min": lambda x: x.min(),
    "max dim": lambda x: tuple(x.max(1)),
    "min dim": lambda x: tuple(x.min(2, keepdim=True)),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.argmin(-1, keepdim=True),
    "argmax all": torch.argmax,
    "topk": lambda x: tuple(x.topk(2, 1)),
    "var": lambda x: x.var(1),
    "var biased": lambda x: x.var((1, 2), unbiased=False),
    "std": lambda x: x.std(-1, keepdim=True),
    "var all": lambda x: x.var(),
    "var_mean": lambda x: torch.var_mean(x, 1),
    "logsumexp": lambda x: x.logsumexp(1),
    "norm": lambda x: x.norm(dim=1),
    "norm 1": lambda x: x.norm(p=1, dim=(1, 2)),
    "normalize": F.normalize,
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "group_norm": lambda x: F.group_norm(x, 3),
    "instance_norm": F.instance_norm,
    "rms_norm": lambda x: F.rms_norm(x, (4,)),
    "view": lambda x: x.view(2, 24),
    "view -1": lambda x: x.view(-1, 4),
    "reshape": lambda x: x.transpose(0, 1).reshape(6, -1),
    "flatten": lambda x: x.flatten(1),
    "flatten 0 1": lambda x: x.flatten(0, 1),
    "unflatten": lambda x: x.unflatten(1, (2, -1)),
    "squeeze": lambda x: x[:, :1].squeeze(),
    "squeeze dim": lambda x: x[:, :1].squeeze(1),
    "unsqueeze": lambda x: x.unsqueeze(-2),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(-1, 1),
    "movedim": lambda x: x.movedim(0, 2),
    "cat": lambda x: torch.cat([x, x + 1], 1),
    "cat dtypes": lambda x: torch.cat([x, (x > 0)], -1),
    "stack": lambda x: torch.stack([x, -x], 1),
    "split": lambda x: x.split(4, 1),
    "split sizes": lambda x: x.split([1, 5], 1),
    "chunk": lambda x: x.chunk(3, 2),
    "unbind": lambda x: x.unbind(1),
    "tensor_split": lambda x: x.tensor_split(4, 1),
    "expand": lambda x: x[:, :1].expand(-1, 5, -1),
    "expand new": lambda x: x.expand(3, 2, 6, 4),
    "slice": lambda x: x[:, 1:5:2],
    "slice end": lambda x: x[..., -3:-1],
    "select": lambda x: x[:, 2],
    "select last": lambda x: x[..., -1],
    "repeat": lambda x: x.repeat(1, 2, 3),
    "repeat new": lambda x: x.repeat(2, 1, 1, 1),
    "tile": lambda x: x.tile(2),
    "flip": lambda x: x.flip(1, 2),
    "roll": lambda x: x.roll(2, 1),
    "roll two": lambda x: torch.roll(x, (1, -2), (1, 2)),
    "roll flat": lambda x: x.roll(5),
    "repeat_interleave": lambda x: x.repeat_interleave(3, 1),
    "narrow": lambda x: x.narrow(1, 2, 3),
    "pad": lambda x: F.pad(x, (1, 2)),
    "pad value": lambda x: F.pad(x, (0, 1, 2, 0), value=1.5),
    "pad cut": lambda x: F.pad(x, (-1, 1)),
    "zeros_like": lambda x: torch.zeros_like(x) + x,
    "ones_like": lambda x: x - torch.ones_like(x),
    "full_like": lambda x: x + torch.full_like(x, 2),
    "new_zeros": lambda x: torch.cat([x, x.new_zeros(2, 1, 4)], 1),
    "arange": lambda x: x + torch.arange(4),
    "full": lambda x: x * torch.full((4,), 2.0),
    "tril": lambda x: x @ torch.ones(4, 4).tril(),
    "clone": lambda x: x.clone().contiguous().detach(),
    "assignment": lambda x: _assigned(x),
    "in place": lambda x: x.clone().add_(1).mul_(2).relu_(),
    "einsum": lambda x: torch.einsum("bcd,bed->bce", x, x),
    "pixel_shuffle 3d": lambda x: F.pixel_shuffle(x.view(4, 4, 3), 2),
    "linspace": lambda x: x + torch.linspace(0, 1, 4),
    "outer": lambda x: x.unsqueeze(-1) * x.unsqueeze(-2),
    "cumulative scale": lambda x: x * x.size(1) + x.shape[2],
    "maximum of halves": lambda x: torch.maximum(x[:, :3], x[:, 3:]),
    "minimum": lambda x: torch.minimum(x, x.mean()),
    "type_as": lambda x: (x > 0).type_as(x),
}


def _assigned(x: Any) -> Any:
    y = x.clone()
    y[:, 1:3] = 0
    y[:, 4] = x[:, 0]
    return y


@pytest.mark.parametrize("name", UNARY)
def test_of_one_tensor(name: str) -> None:
    assert_like_torch(module_of(UNARY[name]), floats(2, 6, 4))


POSITIVE = {
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "log1p": torch.log1p,
    "log2": torch.log2,
    "pow 0.5": lambda x: x**0.5,
    "pow -1.5": lambda x: x**-1.5,
    "pow tensor": lambda x: x**x,
    "pow of 2": lambda x: 2.0**x,
}


@pytest.mark.parametrize("name", POSITIVE)
def test_of_one_positive_tensor(name: str) -> None:
    assert_like_torch(module_of(POSITIVE[name]), _positive(2, 5, 3))


BINARY = {
    "add": torch.add,
    "add alpha": lambda a, b: torch.add(a, b, alpha=2.5),
    "sub": torch.sub,
    "sub alpha": lambda a, b: torch.sub(a, b, alpha=3),
    "mul": torch.mul,
    "div": lambda a, b: a / (b.abs() + 1),
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "max": torch.max,
    "ge": torch.ge,
    "lt": torch.lt,
    "eq": lambda a, b: a.round() == b.round(),
    "where": lambda a, b: torch.where(a > b, a, b),
    "prelu": lambda a, b: F.prelu(a, b[0, 0, :1]),
    "clamp": lambda a, b: a.clamp(b - 1, b + 1),
    "lerp": lambda a, b: torch.lerp(a, b, 0.3),
    "addcmul": lambda a, b: torch.addcmul(a, b, b, value=0.5),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (1, 1, 4)), ((2, 1, 4), (2, 3, 1))])
def test_of_two_tensors(name: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    assert_like_torch(module_of(BINARY[name]), floats(*shapes[0]), floats(*shapes[1], seed=1))


INTEGERS = {
    "add": lambda a: a + 5,
    "add float": lambda a: a + 0.5,
    "mul": lambda a: a * a,
    "sub": lambda a: 3 - a,
    "div": lambda a: a / 4,
    "div trunc": lambda a: torch.div(a, 3, rounding_mode="trunc"),
    "neg": torch.neg,
    "abs": torch.abs,
    "ge": lambda a: a >= 2,
    "ge float": lambda a: a >= 1.5,
    "eq": lambda a: a == 3,
    "where": lambda a: torch.where(a > 0, a, 0),
    "sum": lambda a: a.sum(1),
    "amax": lambda a: a.amax(1),
    "float": lambda a: a.float() * 0.5,
    "clamp": lambda a: a.clamp(-3, 4),
    "sign": torch.sign,
    "pow": lambda a: a**2,
    "cat": lambda a: torch.cat([a, a], 1),
    "matmul": lambda a: a @ a.mT,
    "relu": F.relu,
    "to uint8": lambda a: a.to(torch.uint8),
    "exp": torch.exp,
    "maximum": lambda a: torch.maximum(a, a.flip(1)),
    "mean": lambda a: a.float().mean(1),
}


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("dtype", ["int64", "int32", "int8"])
def test_of_integers(name: str, dtype: str) -> None:
    assert_like_torch(module_of(INTEGERS[name]), integers(-7, 7, 2, 5, 3, dtype=getattr(torch, dtype)))


# -- products, attention, elements at indices -------------------------------------------------------------------------

PRODUCTS: dict[str, tuple[Any, tuple[tuple[int, ...], ...]]] = {
    "mm": (torch.mm, ((2, 3), (3, 4))),
    "bmm": (torch.bmm, ((2, 3, 4), (2, 4, 5))),
    "matmul": (torch.matmul, ((2, 1, 3, 4), (3, 4, 5))),
    "matmul vector": (torch.matmul, ((3, 4), (4,))),
    "addmm": (lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), ((4,), (2, 3), (3, 4))),
    "baddbmm": (torch.baddbmm, ((2, 3, 5), (2, 3, 4), (2, 4, 5))),
    "addmm beta 0": (lambda c, a, b: torch.addmm(c, a, b, beta=0), ((4,), (2, 3), (3, 4))),
    "t": (lambda a, b: a @ b.t(), ((2, 3), (4, 3))),
    "attention": (F.scaled_dot_product_attention, ((2, 2, 5, 4), (2, 2, 6, 4), (2, 2, 6, 3))),
    "attention causal": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        ((1, 2, 5, 4), (1, 2, 5, 4), (1, 2, 5, 4)),
    ),
    "attention scale": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.3),
        ((1, 2, 5, 4), (1, 2, 5, 4), (1, 2, 5, 4)),
    ),
    "attention bias": (F.scaled_dot_product_attention, ((1, 2, 5, 4), (1, 2, 6, 4), (1, 2, 6, 4), (5, 6))),
    "attention mask": (
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m > -1),
        ((1, 2, 5, 4), (1, 2, 6, 4), (1, 2, 6, 4), (5, 6)),
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    function, shapes = PRODUCTS[name]
    assert_like_torch(module_of(function), *(floats(*shape, seed=i) for i, shape in enumerate(shapes)))


def test_attention_with_a_constant_mask() -> None:
    mask = torch.ones(5, 5).tril().bool()
    module = module_of(lambda q, mask: F.scaled_dot_product_attention(q, q, q, mask), mask)
    assert_like_torch(module, floats(2, 2, 5, 4), dynamic=False)


def test_embeddings() -> None:
    assert_like_torch(trained(nn.Embedding(11, 4)), integers(0, 10, 2, 3))
    assert_like_torch(
        trained(nn.Embedding(11, 4, padding_idx=0)), integers(0, 10, 2, 3, dtype=torch.int32), dynamic=True
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda x, i: x.index_select(1, i),
        lambda x, i: x[:, i],
        lambda x, i: x[..., i],
        lambda x, i: x.gather(1, i.view(1, -1, 1).expand(2, -1, 4)),
    ],
)
def test_elements_at_constant_indices(function: Any) -> None:
    assert_like_torch(module_of(function, torch.tensor([2, 0, 3])), floats(2, 6, 4))


def test_elements_at_indices_that_are_computed() -> None:
    assert_like_torch(module_of(lambda x, i: x.index_select(1, i)), floats(2, 6, 4), integers(0, 5, 3))


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 30.0])
def test_differences_to_one_are_exact_for_small_numbers(scale: float) -> None:
    assert_like_torch(module_of(torch.expm1), floats(3, 5) * scale)
    assert_like_torch(module_of(torch.log1p), (floats(3, 5) * scale).clamp(min=-0.9))


@pytest.mark.parametrize("dtype", ["bool", "float"])
@pytest.mark.parametrize("constant", [True, False])
def test_attention_where_a_mask_leaves_nothing_of_a_row(dtype: str, constant: bool) -> None:
    """Torch gives 0 there."""
    mask, x = torch.ones(2, 1, 5, 5, dtype=torch.bool), floats(2, 2, 5, 4)
    mask[0, :, 2] = False
    mask = mask if dtype == "bool" else torch.zeros(2, 1, 5, 5).masked_fill(~mask, float("-inf"))
    attention = module_of(
        lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=m), *([mask] if constant else [])
    )
    assert_like_torch(attention, x, *([] if constant else [mask]))


def test_a_sum_of_truth_values_is_one() -> None:
    assert_like_torch(module_of(lambda x: (x > 0) + (x > 0.5)), floats(3, 5))


def test_results_that_are_written_to_a_given_tensor() -> None:
    def doubled(x: Any) -> Any:
        y = torch.zeros_like(x)
        torch.mul(x, 2, out=y)
        return y + 1

    assert_like_torch(module_of(doubled), floats(3, 5))


def test_names_of_outputs_are_unique() -> None:
    program = import_model(module_of(lambda x: {"a_b": x + 1, "a": {"b": x + 2}, "a_b_1": x}), (floats(3),))
    assert [port.name for port in program.outputs] == ["a_b", "a_b_2", "a_b_1"]


@pytest.mark.parametrize("divisor", [0.1, -0.3, 0.5, 3.0, 1e-3])
def test_floors_of_quotients_are_exact(divisor: float) -> None:
    """Where a float is about a multiple of the divisor, too, in both forms and for divisors that are computed."""
    x = torch.tensor([k * divisor for k in range(-20, 21)] + [0.95, 1.0, -1.0, 7.0])
    x = torch.cat([x, torch.nextafter(x, torch.tensor(9e9)), torch.nextafter(x, torch.tensor(-9e9))])
    assert_like_torch(module_of(lambda x: x // divisor), x)
    assert_like_torch(module_of(lambda x: torch.div(x, divisor, rounding_mode="floor")), x)
    assert_like_torch(module_of(lambda x, y: x // y), x, torch.full_like(x, divisor))


def test_logsumexp_of_what_is_infinite() -> None:
    inf = float("inf")
    x = torch.tensor([[-inf, -inf, -inf], [inf, 1, 2], [-inf, 0, 1], [1, 2, 3]])
    assert_like_torch(module_of(lambda x: torch.logsumexp(x, 1)), x)


def test_choices_that_are_bounds_but_for_nan() -> None:
    """NaN fails every comparison: written one way it stays, written the other way it becomes the bound."""
    x = torch.tensor([[-2.0, 0.5, 3.0, float("nan")]])
    assert_like_torch(module_of(lambda x: torch.where(x < 1, x, 1.0)), x)
    assert_like_torch(module_of(lambda x: torch.where(x < 1, 1.0, x)), x)
    assert_like_torch(module_of(lambda x: torch.where(x >= 1, x, 1.0)), x)
    assert_like_torch(module_of(lambda x: torch.where(x >= 1, 1.0, x)), x)
