"""What a pass is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ..ir.program import Program


class Pass(ABC):
    """A transformation of a program in place. Exact unless `lossy`: the interpreter's integers stay bit for bit."""

    name: ClassVar[str]
    lossy: ClassVar[bool] = False

    @abstractmethod
    def apply(self, program: Program) -> bool:
        """Transforms the program. Returns whether anything changed."""
