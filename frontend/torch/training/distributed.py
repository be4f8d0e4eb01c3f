"""Several processes that train one model, as torchrun starts them."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Process:
    """rank: the number of this process, of `count`. device: where it computes."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and prints."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """The mean of all processes' values."""
        return self.mean_of(torch.tensor(value, dtype=torch.float64, device=self.device)).item()

    def mean_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The mean of all processes' tensors."""
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor / self.count


@contextmanager
def processes(device: str | None = None) -> Iterator[Process]:
    """This process among those that torchrun started (gloo, on CUDA devices nccl), or alone.

    device: absent, CUDA where there is one, else the CPU.
    """
    cuda = device is None and torch.cuda.is_available()
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else device or "cpu"
    chosen = torch.device(local)
    if count == 1:
        yield Process(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Process(rank, count, chosen)
        _meet(chosen)
    finally:
        distributed.destroy_process_group()


def _meet(device: torch.device) -> None:
    """Waits until all processes are here, and until gloo's thread has let go of what they met with.

    Not `distributed.barrier`: gloo's keeps the tensors of the operations before it, and its thread lets go of them some
    time after all have met. A process whose interpreter ends before that is aborted.
    """
    tensor = torch.zeros(1, device=device)
    distributed.all_reduce(tensor)  # none ends while another one still talks to it
    alive = weakref.ref(tensor)
    del tensor
    while device.type == "cpu" and alive() is not None:
        time.sleep(0.001)
