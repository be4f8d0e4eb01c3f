"""What a user chooses when a model is compiled: the one place that validates, prints, stores and compares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self, TypeAlias, TypedDict

from ..ir.errors import ArtifactError, InputError, TercetError
from ..passes.lossy.options import LossyOptions
from .backend import Lowering
from .backends import find_backend

Shapes: TypeAlias = "Mapping[str, Sequence[int]]"
"""Sizes of inputs by name, -1 for one that stays open; the name "" means the only input."""


class Choices(TypedDict, total=False):
    """The fields of CompileOptions as keyword arguments, with `keep` of its LossyOptions beside them."""

    backend: str
    target: str
    batch: int | None
    shapes: Shapes | None
    engines: str | Sequence[str] | None
    optimize: str
    tune: int
    tracker: str
    threading: str
    weights: str | LossyOptions
    keep: Sequence[str]


@dataclass(frozen=True)
class CompileOptions:
    """All that decides what a model is compiled to, beside the model and calibration data.

    backend: what makes the artifact, `c` or `tvm`.
    target: one of `targets()` or `native`.
    batch: the size of a symbolic batch; None leaves it open.
    shapes: sizes of inputs by name, sorted, for axes that the model leaves open; -1 leaves one as it is.
    engines: names of the engines to choose from; empty: all. `loops` computes what they refuse.
    optimize: `speed`; or `size`: use only engines that keep weights packed (at most 1.6 bits a ternary weight).
    tune: how many candidates of every layer to measure; 0 trusts the predictions.
    tracker: machines that measure them with TVM, as KEY@HOST:PORT; "" measures on this machine.
    threading: whose threads the model runs on: `pool` (its own), `openmp` or `none`.
    lossy: what float weights and activations become.

    Raises InputError for values that do not exist or do not go together.
    """

    backend: str = "c"
    target: str = "native"
    batch: int | None = None
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    engines: tuple[str, ...] = ()
    optimize: str = "speed"
    tune: int = 0
    tracker: str = ""
    threading: str = "pool"
    lossy: LossyOptions = field(default_factory=LossyOptions)

    def __post_init__(self) -> None:
        find_backend(self.backend).check(self.lowering)
        if self.tune < 0:
            raise InputError(f"tune: expected 0 or more candidates, got {self.tune}")
        if self.tracker and not self.tune:
            raise InputError("tracker: without tuning nothing is measured", hint="add --tune, or leave it out")

    @classmethod
    def of(cls, options: CompileOptions | None = None, choices: Choices | None = None) -> CompileOptions:
        """Options with some of them chosen anew. Raises InputError, also for names that are no options."""
        made = options or cls()
        given: dict[str, Any] = dict(choices or {})
        if unknown := set(given) - set(Choices.__annotations__):
            raise InputError(f"'{min(unknown)}' is not an option", hint=f"one of: {', '.join(Choices.__annotations__)}")
        weights, keep = given.pop("weights", made.lossy), given.pop("keep", ())
        if isinstance(keep, str):
            raise InputError(f"keep: expected a sequence of names, got the string '{keep}'")
        lossy = weights if isinstance(weights, LossyOptions) else LossyOptions(weights)
        given["lossy"] = replace(lossy, keep=(*lossy.keep, *keep)) if keep else lossy
        if "engines" in given:
            given["engines"] = _names(given["engines"])
        if "shapes" in given:
            given["shapes"] = _sorted(given["shapes"])
        return replace(made, **given)

    @property
    def lowering(self) -> Lowering:
        return Lowering(self.target, self.engines, self.optimize, self.threading, self.tune, self.tracker)

    @property
    def shapes_by_name(self) -> dict[str, tuple[int, ...]]:
        return dict(self.shapes)

    def changed(self) -> dict[str, Any]:
        """The fields that are not at their default, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) != getattr(DEFAULTS, f.name)}

    def to_json(self) -> dict[str, Any]:
        """The options that are not at their default, for the manifest (which names target and backend itself, and does
        not say who measured); those of `lossy` stand beside the others."""
        found = {name: value for name, value in self.changed().items() if name not in ("target", "backend", "tracker")}
        if "shapes" in found:
            found["shapes"] = [f"{name}={','.join(map(str, sizes))}" for name, sizes in self.shapes]
        if "engines" in found:
            found["engines"] = sorted(self.engines)
        if found.pop("lossy", None):
            defaults = asdict(LossyOptions())
            found |= {name: value for name, value in asdict(self.lossy).items() if value != defaults[name]}
        return found

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], **named: str) -> Self:
        """What `to_json` gave; named: target and backend. Raises ArtifactError for what it cannot have given."""
        values = dict(stored)
        try:
            lossy = {f.name: values.pop(f.name) for f in fields(LossyOptions) if f.name in values}
            if "keep" in lossy:
                lossy["keep"] = tuple(lossy["keep"])
            if "shapes" in values:
                values["shapes"] = _sorted(dict(map(_parse_shape, values["shapes"])))
            if "engines" in values:
                values["engines"] = tuple(values["engines"])
            if not isinstance(values.get("batch", 1), int) or not isinstance(values.get("tune", 0), int):
                raise ValueError("batch and tune are whole numbers")
            return cls(lossy=LossyOptions(**lossy), **named, **values)
        except (TypeError, ValueError, TercetError) as error:
            raise ArtifactError(f"options: {error}", hint="compile the model again") from error

    def __str__(self) -> str:
        """As on the command line: `--target x86-64-v3 --optimize size`."""
        words = [] if self.target == DEFAULTS.target else [f"--target {self.target}"]
        for name, value in self.to_json().items():
            flag, values = FLAGS.get(name, name), value if isinstance(value, list | tuple) else [value]
            words += [f"--{flag}" if one is True else f"--{flag} {one}" for one in values]
        return " ".join(words)


FLAGS = {"shapes": "shape", "engines": "engine", "tune": "tune --tune-candidates", "ends": "all-layers"}
"""What options are called on the command line, where they have another name."""

DEFAULTS = CompileOptions()


def _names(engines: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if engines is None else (engines,) if isinstance(engines, str) else tuple(engines)


def _sorted(shapes: Shapes | None) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(sorted((name, tuple(int(size) for size in sizes)) for name, sizes in (shapes or {}).items()))


def _parse_shape(text: object) -> tuple[str, list[int]]:
    name, _, sizes = str(text).rpartition("=")
    return name, [int(size) for size in sizes.split(",") if size]
