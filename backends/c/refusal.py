"""Why an engine does not compute a kernel: raised where the kernel is read, a value for all who ask."""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """The kernel is none that can be computed in this way. `Engine.plans` makes a `Refusal` of it."""


@dataclass(frozen=True)
class Refusal:
    """An engine's answer instead of plans."""

    reason: str
