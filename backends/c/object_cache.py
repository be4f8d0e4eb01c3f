"""The objects that a process has compiled: a file that comes again, with the same headers and flags, is not compiled.

The runtime's files are the same in every model, and take half the time of compiling a small one.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock

_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"(?:[^"\n]*/)?([^"/\n]+)"', re.MULTILINE)


class ObjectCache:
    """Objects by what they were made of: those asked for last, `most_bytes` in all. Threads may share one."""

    def __init__(self, most_bytes: int = 32 << 20) -> None:
        self._objects: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock, self._most, self._bytes = Lock(), most_bytes, 0

    def clear(self) -> None:
        with self._lock:
            self._objects.clear()
            self._bytes = 0

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            if key in self._objects:
                self._objects.move_to_end(key)
            return self._objects.get(key)

    def put(self, key: bytes, content: bytes) -> None:
        with self._lock:
            self._bytes += len(content) - len(self._objects.pop(key, b""))
            self._objects[key] = content
            while self._bytes > self._most:
                self._bytes -= len(self._objects.popitem(last=False)[1])


def object_key(command: Sequence[str], unit: str, sources: Mapping[str, str | bytes]) -> bytes | None:
    """What the object of a unit depends on, for `ObjectCache`. None where that cannot be told from the sources.

    command: of compiling it, without what names the folder of the sources, which must not change the object.
    """
    if not unit.endswith(".c"):
        return None  # an assembly file takes in others that it does not name in an #include
    by_name: dict[str, list[str]] = {}
    for path in sorted(sources):
        by_name.setdefault(path.rsplit("/", 1)[-1], []).append(path)
    included = {unit}
    # what the command names comes in too (-include); of several files of a name, which one is meant is left open
    waiting = [unit, *(path for word in command for path in by_name.get(word, ()) if path != unit)]
    while waiting:
        path = waiting.pop()
        included.add(path)
        for name in _INCLUDE.findall(_bytes(sources[path])):
            waiting += [found for found in by_name.get(name.decode(), ()) if found not in included]
    digest = hashlib.sha256()
    for part in (*command, unit, *(part for path in sorted(included) for part in (path, sources[path]))):
        digest.update(hashlib.sha256(_bytes(part)).digest())
    return digest.digest()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
