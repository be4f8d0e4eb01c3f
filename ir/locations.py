"""Locations lead every operation back to its source node: `loc("Conv:conv_0")`, several after fusion."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ArrayAttr, FusedLoc, LocationAttr, NameLoc, NoneAttr, StringAttr, UnknownLoc
from xdsl.ir import Attribute, Operation

from .names import decode_name, encode_name, one_line

SOURCE_KEY = "tercet.source"
"""In the metadata of an exported model's node, the source node whose result it computes, as `OpType:name`."""


def node_location(op_type: str, name: str) -> LocationAttr:
    """The location of one source node: its operator type and its (unique) name."""
    return NameLoc(StringAttr(encode_name(f"{op_type}:{name}")), NoneAttr())


def fused_location(*locations: LocationAttr) -> LocationAttr:
    """One location for several source nodes, each named once, in order; unknown ones are dropped."""
    names = dict.fromkeys(name for location in locations for name in source_names(location))
    if not names:
        return UnknownLoc()
    parts: list[Attribute] = [NameLoc(StringAttr(encode_name(name)), NoneAttr()) for name in names]
    first = parts[0]
    if len(parts) == 1 and isinstance(first, NameLoc):
        return first
    return FusedLoc(ArrayAttr(parts), NoneAttr())


def source_names(location: Attribute) -> list[str]:
    """The `OpType:name` strings of a location."""
    if isinstance(location, NameLoc):
        return [decode_name(location.desc.data)]
    if isinstance(location, FusedLoc) and isinstance(location.locations, ArrayAttr):
        return [name for part in location.locations for name in source_names(part)]
    return []


def nodes_text(nodes: Sequence[str]) -> str:
    """Source nodes without their operator types: `conv1 + bn1 + act1`."""
    return one_line(" + ".join(name.partition(":")[2] or name for name in nodes))


def describe(op: Operation) -> str:
    """A phrase for error messages: the source nodes of an operation, or its own name without any."""
    nodes = [name.partition(":") for name in source_names(op.location)]
    return " + ".join(f"node '{name}' ({kind})" for kind, _, name in nodes) or f"operation {op.name}"
