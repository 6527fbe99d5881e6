"""Kept measurements: one JSON object per line, each with the commit, the configuration and the machine behind it.

A file per day in `bench/history/`; lines are added, never changed.
"""

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

FOLDER = Path(__file__).parent / "history"


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


def keep(lines: Iterable[Mapping[str, Any]], folder: Path = FOLDER) -> Path:
    """Add lines to today's file; returns it."""
    about = circumstances()
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
    """The checkout's, with `+` where files differ from it; None outside of one."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607 - fixed words
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return None if commit is None else f"{commit}{'+' if git('status', '--porcelain', '-uno') else ''}"
    except OSError:
        return None


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
