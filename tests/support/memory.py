"""Peak memory of this process. Not ru_maxrss: that one begins with the peak of the process that started this one."""

from __future__ import annotations

from pathlib import Path


def reset() -> None:
    """Begin again from what is in use now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """KiB of resident memory at most since `reset` or the start."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])
