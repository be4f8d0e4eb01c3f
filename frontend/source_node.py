"""What the importer's vocabulary asks of a node of the source model, whatever format that has."""

from __future__ import annotations

from typing import Protocol

from xdsl.dialects.builtin import LocationAttr

from ..ir.errors import ModelError


class SourceNode(Protocol):
    """name: unique in the model. op_type: what users call the operator. label: how messages call the node. line: of the
    source code that made it, as `model.py:12`; "" where there is none."""

    @property
    def name(self) -> str: ...

    @property
    def op_type(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def line(self) -> str: ...

    @property
    def location(self) -> LocationAttr: ...

    def error(self, what: str, hint: str = "") -> ModelError:
        """The error for something that is wrong with this node."""
        ...
