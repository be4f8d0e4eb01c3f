"""Machines that measure for tuning, behind a tracker of TVM's RPC."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from ...ir.errors import InputError, ToolchainError

PATIENCE = 10.0
"""Seconds until a tracker has to answer."""


@dataclass(frozen=True)
class Tracker:
    """key: under which the machines are registered there, all of one kind."""

    key: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Tracker:
        """Of `KEY@HOST:PORT`. Raises InputError."""
        found = re.fullmatch(r"([\w.+-]+)@([^@:\s]+):(\d{1,5})", text)
        if found is None or not 0 < int(found[3]) < 1 << 16:
            raise InputError(f"tracker: expected KEY@HOST:PORT, got '{text}'", hint="for example board@10.0.0.7:9190")
        return cls(found[1], found[2], int(found[3]))

    def servers(self) -> int:
        """How many machines it has under the key, busy ones too. Raises ToolchainError where it does not answer or has
        none."""
        from .package import rpc

        where = f"{self.host}:{self.port}"
        try:
            socket.create_connection((self.host, self.port), PATIENCE).close()
            summary = rpc.connect_tracker(self.host, self.port).summary()
        except (OSError, RuntimeError) as error:
            hint = f"python -m tvm.exec.rpc_tracker --host HOST --port {self.port}"
            raise ToolchainError(f"no tracker answers at {where}: {error}", hint=hint) from error
        count = sum(server["key"].rpartition(":")[2] == self.key for server in summary["server_info"])
        if not count:
            hint = f"on each of them: python -m tvm.exec.rpc_server --tracker {where} --key {self.key}"
            raise ToolchainError(f"the tracker at {where} has no machine with the key '{self.key}'", hint=hint)
        return count
