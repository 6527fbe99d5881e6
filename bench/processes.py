"""What a process has taken, as its system tells: CPU time and memory."""

import os
from collections.abc import Mapping
from pathlib import Path


def cpu_s(pid: int | None) -> float:
    """CPU seconds that a process has taken; nan where the system does not tell."""
    told = Path(f"/proc/{pid}/stat")
    if pid is None or not told.exists():
        return float("nan")
    fields = told.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int | None) -> Mapping[str, float]:
    """Resident memory of a process now, at its most, and now without mapped files (those the kernel can take back), in MB (10^6 bytes).

    Empty where the system does not tell.
    """
    told = Path(f"/proc/{pid}/status")
    if pid is None or not told.exists():
        return {}
    lines = dict(line.split(":", 1) for line in told.read_text().splitlines() if ":" in line)
    names = {"resident": "VmRSS", "most": "VmHWM", "own": "RssAnon"}
    return {name: round(int(lines[field].split()[0]) * 1024 / 1e6, 1) for name, field in names.items()}
