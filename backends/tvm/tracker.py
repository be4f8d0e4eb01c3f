"""Machines that measure for tuning, behind a tracker of TVM's RPC."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from ...ir.errors import InputError, ToolchainError

PATIENCE = 10.0
"""Seconds until a tracker has to have answered."""

MAGIC, SUCCESS, SUMMARY = 0x2F271, 0, 6
"""Of TVM's protocol between trackers and others: what both begin with, and numbers of messages. After it, messages are
JSON with its length in front."""
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Tracker:
    """key: under which the machines are registered there, all of one kind."""

    key: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Tracker:
        """Of `KEY@HOST:PORT`, or `KEY@[HOST]:PORT` for an address of IPv6. Raises InputError."""
        found = re.fullmatch(r"([\w.+-]+)@(?:\[([\da-fA-F:.]+(?:%\w+)?)\]|([^@:\s\[\]]+)):(\d{1,5})", text, re.ASCII)
        if found is None or not 0 < int(found[4]) < 1 << 16:
            hint = "for example board@10.0.0.7:9190 or board@[::1]:9190"
            raise InputError(f"tracker: expected KEY@HOST:PORT, got '{text}'", hint=hint)
        return cls(found[1], found[2] or found[3], int(found[4]))

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.key}@{self.address}"

    def servers(self) -> int:
        """How many machines it has under the key, busy ones too. Raises ToolchainError where it does not answer or has
        none."""
        where = self.address
        try:
            keys = [str(server["key"]).rpartition(":")[2] for server in self._summary()["server_info"]]
        except OSError as error:
            what = f"within {PATIENCE:g} seconds" if isinstance(error, TimeoutError) else error.strerror or error
            hint = f"python -m tvm.exec.rpc_tracker --host HOST --port {self.port}"
            raise ToolchainError(f"no tracker answers at {where}: {what}", hint=hint) from error
        except (ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
            hint = "see that it is the address of a tracker of TVM's RPC, not of a server"
            raise ToolchainError(f"what answers at {where} is no tracker", hint=hint) from error
        count = keys.count(self.key)
        if not count:
            hint = f"on each of them: python -m tvm.exec.rpc_server --tracker {self.host}:{self.port} --key {self.key}"
            raise ToolchainError(f"the tracker at {where} has no machine with the key '{self.key}'", hint=hint)
        return count

    def _summary(self) -> Any:
        """What the tracker says of itself. Not by TVM's client, which waits for an answer for ever."""
        end = time.monotonic() + PATIENCE
        with socket.create_connection((self.host, self.port), PATIENCE) as peer:
            peer.sendall(struct.pack("<i", MAGIC))
            if _number(peer, end) != MAGIC:
                raise ValueError
            request = json.dumps([SUMMARY]).encode()
            peer.sendall(struct.pack("<i", len(request)) + request)
            if not 0 <= (size := _number(peer, end)) <= MOST_BYTES:
                raise ValueError
            code, summary = json.loads(_received(peer, size, end))
            if code != SUCCESS:
                raise ValueError
            return summary


def _number(peer: socket.socket, end: float) -> int:
    return struct.unpack("<i", _received(peer, 4, end))[0]


def _received(peer: socket.socket, size: int, end: float) -> bytes:
    """So many bytes. Raises OSError where they have not come by the end."""
    data = b""
    while len(data) < size:
        peer.settimeout(max(end - time.monotonic(), 0.001))
        data += (part := peer.recv(min(size - len(data), 1 << 16)))
        if not part:
            raise ConnectionError("it closed the connection")
    return data
