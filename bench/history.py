"""Kept measurements: one JSON object per line, each with the commit, the configuration and the machine behind it.

A file per day in `bench/history/`; lines are added, never changed.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from broker import kafka
from broker.errors import ConfigError

_ROOT = Path(__file__).resolve().parents[1]
_MEASURED = ("adapters", "bench", "broker", "policies", "schemas")
FOLDER = _ROOT / "bench" / "history"


def circumstances() -> Mapping[str, Any]:
    """What a figure depends on beside its cell."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "kafka": _kafka(),
        "aiokafka": metadata.version("aiokafka"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def keep(lines: Iterable[Mapping[str, Any]], about: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Add lines that were measured under these circumstances to their day's file; returns it."""
    path = folder / f"{about['at'][:10]}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps({**about, **line}, ensure_ascii=False)}\n" for line in lines)
    return path


def kept(paths: Sequence[Path]) -> Sequence[Mapping[str, Any]]:
    """Lines of files, or of every file of a folder, in their order; raises `ConfigError` where one is no history."""
    files = [file for path in paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
    lines = []
    for file in files:
        try:
            lines += [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, ValueError):
            raise ConfigError(f"{file} is not a history of measurements") from None
    return lines


def _commit() -> str | None:
    """The checkout's, with `+` and a digest of the difference where the measured code is not it; None outside of one."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    paths = (*(f"{_ROOT / name}" for name in _MEASURED), f":!{FOLDER}")
    differing = _git("diff", "HEAD", "--binary", "--", *paths)
    return f"{commit}+{hashlib.sha256(differing.encode()).hexdigest()[:8]}" if differing else commit


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed words
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _kafka() -> str | None:
    """The embedded node's version."""
    pom = (Path(kafka.__file__).parent / "pom.xml").read_text(encoding="utf-8")
    found = re.search(r"<artifactId>kafka_[^<]+</artifactId>\s*<version>([^<]+)<", pom)
    return None if found is None else found[1]


def _cpu() -> str | None:
    """Model of the processor, where Linux tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
