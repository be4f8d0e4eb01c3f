"""Swaps quantized layers into a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ....ir.errors import InputError
from .layers import LAYERS, QuantizedLayer
from .rprelu import RPReLU
from .schemes import SCHEMES, Scheme

FIRST_AND_LAST = ("first", "last")


def prepare(
    model: nn.Module,
    scheme: str | Scheme,
    *,
    keep: str | Sequence[str] = FIRST_AND_LAST,
    example_inputs: Tensor | tuple[Tensor, ...] | None = None,
) -> nn.Module:
    """The model itself, with quantized layers in place of its Conv1d, Conv2d and Linear ones; their weights stay.

    scheme: a name of SCHEMES, or one of your own. keep: names of layers that stay float, or of modules around them, or
    patterns of names ("layer1.*"); "first" and "last" mean the first and the last layer, in the order of the model's
    modules. example_inputs: what the model is called with, needed by schemes that turn its ReLU modules into RPReLU,
    which have as many parameters as channels.

    Raises InputError for an unknown scheme, a name in `keep` that is none of the model's, a model in which no layer
    would be quantized, or a ReLU module that is used for different numbers of channels.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"expected a torch module, got {type(model).__name__}")
    keep = (keep,) if isinstance(keep, str) else keep
    example_inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else example_inputs
    chosen = scheme if isinstance(scheme, Scheme) else _named(scheme)
    layers = [name for name, module in model.named_modules() if type(module) in LAYERS]
    if not layers:
        raise InputError("the model has no torch.nn.Conv1d, Conv2d or Linear to quantize")
    if type(model) in LAYERS:
        raise InputError(
            "the model is a single layer", hint="use the layers of tercet.torch, or nn.Sequential around it"
        )
    kept = set(_kept(model, layers, keep))
    if len(kept) == len(layers):
        raise InputError(
            f"nothing is quantized: all layers are kept ({', '.join(layers)})",
            hint="say which stay float: keep=() for none; Conv1d, Conv2d and Linear layers can be quantized, no others",
        )
    if chosen.rprelu:
        _replace_relus(model, example_inputs)
    if chosen.weights or chosen.inputs:
        changed = [model.get_submodule(name) for name in layers if name not in kept]
        _replace(model, {layer: _quantized(layer, chosen) for layer in changed})
    return model


def quantized_layers(model: nn.Module) -> Iterator[tuple[str, QuantizedLayer]]:
    """The layers that `prepare` made, by name."""
    for name, module in model.named_modules():
        if isinstance(module, QuantizedLayer):
            yield name, module


def _named(scheme: str) -> Scheme:
    if scheme not in SCHEMES:
        raise InputError(f"unknown scheme '{scheme}'", hint=f"expected one of {', '.join(SCHEMES)}")
    return SCHEMES[scheme]


def _kept(model: nn.Module, layers: Sequence[str], keep: Sequence[str]) -> Iterator[str]:
    known = {name for name, _ in model.named_modules()}
    for name in keep:
        if name in FIRST_AND_LAST and name not in known:
            yield layers[0 if name == "first" else -1]
        elif any(character in name for character in "*?["):
            matching = [layer for layer in layers if fnmatchcase(layer, name)]
            if not matching:
                raise InputError(f"keep: no layer is called like '{name}'", hint=f"they are {', '.join(layers)}")
            yield from matching
        elif name not in known:
            raise InputError(f"keep: the model has no module '{name}'", hint=f"its layers are {', '.join(layers)}")
        else:
            yield from (layer for layer in layers if layer == name or layer.startswith(f"{name}."))


def _quantized(layer: nn.Module, scheme: Scheme) -> nn.Module:
    """The layer under its quantized class: the same object state, so that parameters and hooks stay."""
    made = LAYERS[type(layer)].__new__(LAYERS[type(layer)])
    made.__dict__ = layer.__dict__
    made.add_quantizers(scheme.weights and scheme.weights(), scheme.inputs and scheme.inputs())
    return made


def _replace(model: nn.Module, new: Mapping[nn.Module, nn.Module]) -> None:
    """Puts modules in the places of others, everywhere where the model has them."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and child in new:
                setattr(parent, name, new[child])


def _replace_relus(model: nn.Module, example_inputs: tuple[Tensor, ...] | None) -> None:
    relus = {module: name for name, module in model.named_modules() if isinstance(module, nn.ReLU)}
    if not relus:
        return
    if example_inputs is None:
        raise InputError("the scheme needs example_inputs, to see how many channels each ReLU has")
    channels: dict[nn.Module, set[int]] = {module: set() for module in relus}

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        channels[module].add(inputs[0].shape[1])

    hooks = [module.register_forward_pre_hook(note) for module in relus]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(*example_inputs)
    except Exception as error:
        raise InputError(
            f"example_inputs: the model cannot be called with them: {error}", hint="give what it is trained with"
        ) from error
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    for module, name in relus.items():
        if len(channels[module]) != 1:
            seen = ", ".join(map(str, sorted(channels[module]))) or "no"
            raise InputError(f"ReLU '{name}' is used for {seen} channels", hint="give each place a ReLU of its own")
    _replace(model, {module: RPReLU(*channels[module]) for module in relus})
