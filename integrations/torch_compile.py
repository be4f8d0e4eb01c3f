"""`torch.compile(model, backend="tercet")`: graphs that torch captures, computed by artifacts.

Torch gives the backend every graph that it captures, with parameters and buffers among the inputs. They become weights
of an artifact, which is made when the graph is first called with inputs of some shapes. What tercet does not compile
stays with torch, and one warning says why.

A change of weights is seen by torch's version counters, as optimizers and load_state_dict make them count; one through
`.data` is not: `torch.compiler.reset()` drops what was compiled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.traceback import preserve_node_meta

from ..api import CompileOptions, compile, load
from ..frontend.torch.dtypes import without_bfloat16
from ..frontend.torch.exported import decomposed, export_module
from ..ir.errors import InputError, TercetError, UnsupportedError
from ..ir.host import scratch_folder
from ..runtime.load.loader import LoadedModel

MOST_ARTIFACTS = 8
"""Of one graph, for different shapes or changed weights. Others are left to torch."""

_said = set[str]()


def backend(
    graph: GraphModule, example_inputs: Sequence[Any], *, mode: str | None = None, options: Any = None
) -> Callable[..., Any]:
    """What torch calls. options: fields of CompileOptions, such as {"target": "generic"}, and `threads` to run on.

    Raises InputError for a mode, which tercet has none of, and for options that are no dict or none of these.
    """
    if mode not in (None, "default"):
        raise InputError(f"backend 'tercet' has no mode '{mode}'", hint="leave it out, or give options={...}")
    if not isinstance(options or {}, Mapping):
        raise InputError(f"options: expected a dict, got {type(options).__name__}")
    chosen = dict(options or {})
    threads = chosen.pop("threads", 1)
    if not isinstance(threads, int) or threads < 1:
        raise InputError(f"threads: expected a whole number from 1 on, got {threads!r}")
    made = CompileOptions.of(choices=cast(Any, chosen))
    _say_why_it_ends(graph)
    return _Graph(graph, example_inputs, made, threads)


class _Graph:
    """One captured graph. fixed: which of its inputs are parameters and buffers."""

    def __init__(
        self, graph: GraphModule, example_inputs: Sequence[Any], options: CompileOptions, threads: int
    ) -> None:
        self.graph, self.options, self.threads = graph, options, threads
        self.fixed = [_is_fixed(value) for value in example_inputs]
        self.models: dict[tuple[Any, ...], LoadedModel | None] = {}
        self.dtypes: dict[tuple[Any, ...], list[torch.dtype]] = {}
        """Of the outputs: artifacts give float32 for bfloat16, which NumPy does not have."""

    def __call__(self, *inputs: Any) -> Any:
        if torch.is_grad_enabled() and any(isinstance(v, Tensor) and v.requires_grad for v in inputs):
            _warn("torch computes the model, since it records gradients; call it under torch.inference_mode()")
            return self.graph(*inputs)
        if any(isinstance(v, Tensor) and v.device.type != "cpu" for v in inputs):
            _warn("torch computes what is not on the CPU")
            return self.graph(*inputs)
        key = tuple(map(_key, inputs, self.fixed))
        if key not in self.models:
            self.models[key] = self.compiled(key, inputs)
        model = self.models[key]
        if model is None:
            return self.graph(*inputs)
        free = [without_bfloat16(value) for value in self.free(inputs)]
        arrays = model.run(free).values()
        return tuple(torch.from_dlpack(a).to(t) for a, t in zip(arrays, self.dtypes[key], strict=True))

    def free(self, inputs: Sequence[Any]) -> list[Tensor]:
        """What an artifact is called with: the tensors that are not its weights."""
        pairs = zip(inputs, self.fixed, strict=True)
        return [value.detach().contiguous() for value, fixed in pairs if isinstance(value, Tensor) and not fixed]

    def compiled(self, key: tuple[Any, ...], inputs: Sequence[Any]) -> LoadedModel | None:
        """The graph for inputs like these, None where torch computes it."""
        if len(self.models) >= MOST_ARTIFACTS:
            _warn(f"torch computes what is called with more than {MOST_ARTIFACTS} different shapes or weights")
            return None
        bound = _Bound(self.graph, inputs, self.fixed).eval()
        try:
            with scratch_folder() as folder:
                path = folder / "graph.tercet"
                exported = decomposed(export_module(bound, tuple(self.free(inputs)), None))
                if changed := exported.graph_signature.user_inputs_to_mutate:
                    raise UnsupportedError(f"it changes its input in place: {', '.join(changed.values())}")
                compile(exported, path, options=self.options, name="graph")
                self.dtypes[key] = [result.meta["val"].dtype for result in _results(exported)]
                return load(path, threads=self.threads)
        except TercetError as error:
            _warn(f"torch computes a graph that tercet does not compile: {error}")
            return None


def _results(exported: ExportedProgram) -> list[Node]:
    by_name = {node.name: node for node in exported.graph.nodes}
    return [by_name[name] for name in exported.graph_signature.user_outputs if isinstance(name, str)]


class _Bound(nn.Module):
    """A graph whose parameters, buffers and numbers are bound: it takes the other tensors alone."""

    def __init__(self, graph: GraphModule, inputs: Sequence[Any], fixed: Sequence[bool]) -> None:
        super().__init__()
        self.graph = graph
        self._inputs = list(inputs)
        self._free = [i for i, v in enumerate(inputs) if isinstance(v, Tensor) and not fixed[i]]
        for i, value in enumerate(inputs):
            if isinstance(value, Tensor):
                self._inputs[i] = None
                if fixed[i]:
                    self.register_buffer(f"input{i}", value.detach())

    def forward(self, *free: Tensor) -> Any:
        inputs = [self._buffers.get(f"input{i}", value) for i, value in enumerate(self._inputs)]
        for i, value in zip(self._free, free, strict=True):
            inputs[i] = value
        with preserve_node_meta():  # operators keep the lines of the user's model that they come from
            return Interpreter(self.graph).run(*inputs)


def _say_why_it_ends(graph: GraphModule) -> None:
    """Warns where a graph is only a part of the model, and says which line of it torch could not capture."""
    reason = getattr(graph, "compile_subgraph_reason", None)
    if reason is not None and reason.graph_break:
        where = f" at {reason.user_stack[-1].filename}:{reason.user_stack[-1].lineno}" if reason.user_stack else ""
        what = next((line.strip() for line in str(reason.reason).splitlines() if line.strip()), "")
        _warn(f"torch does not capture the model as one graph: it stops{where}: {what}")


def _is_fixed(value: Any) -> bool:
    """Whether an input is a parameter or a buffer of the model: torch marks them as of constant address."""
    return isinstance(value, nn.Parameter) or hasattr(value, "_dynamo_static_input_type")


def _key(value: Any, fixed: bool) -> Any:
    """What an artifact depends on: the contents of what is fixed, by address and version, and shapes of the rest."""
    if not isinstance(value, Tensor):
        return value
    if fixed:
        return value.data_ptr(), 0 if value.is_inference() else value._version
    return value.dtype, tuple(value.shape)


def _warn(message: str) -> None:
    """Says something once in a process."""
    if message not in _said:
        _said.add(message)
        warnings.warn(message, stacklevel=2)
