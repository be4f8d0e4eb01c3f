"""Types as text in layers.json, parsed. Imports xDSL, so only what needs it imports this."""

from __future__ import annotations

from xdsl.ir import Attribute
from xdsl.parser import Parser
from xdsl.utils.exceptions import ParseError, VerifyException

from ...ir.errors import ArtifactError
from ...ir.program import context
from .schema import ALTERED


def parse_kind(text: str, where: str) -> Attribute:
    """The tensor or kn.map type of a text. Raises ArtifactError for anything else."""
    try:
        return Parser(context(), text).parse_type()
    except (ParseError, VerifyException, RecursionError) as error:
        raise ArtifactError(f"not a type: {text[:80]!r}", where=where, hint=ALTERED) from error
