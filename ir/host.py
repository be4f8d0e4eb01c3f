"""The machine this process runs on, as far as compiled code depends on it."""

from __future__ import annotations

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cpu_features() -> frozenset[str]:
    """The feature flags of this machine's CPU as Linux names them; empty where the system does not list them."""
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return frozenset(found.partition(":")[2].split())
