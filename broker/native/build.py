"""Builds the native core for this machine's kind: `python -m broker.native.build`; `make setup` does it.

The compiler comes with the package `ziglang`, which only building needs.
"""

import subprocess
import sys

from broker.native.library import SOURCES, library_path


def build() -> None:
    """Build the core of the sources as they are now, unless it is there; raises `CalledProcessError`."""
    target = library_path()
    if target.exists():
        return
    for former in target.parent.glob(f"{target.stem.partition('-')[0]}-*{target.suffix}"):
        former.unlink()
    # With its safety checks: a slip ends the process, it never reads or writes beside what it was given.
    compile_ = ("build-lib", "-dynamic", "-O", "ReleaseSafe", "-fstrip", "-mcpu", "baseline")
    built = target.with_suffix(".building")
    command = [sys.executable, "-m", "ziglang", *compile_, str(SOURCES / "core.zig"), f"-femit-bin={built}"]
    subprocess.run(command, check=True)  # noqa: S603 - our own arguments
    built.replace(target)


if __name__ == "__main__":
    build()
