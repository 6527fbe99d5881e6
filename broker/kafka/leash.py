"""Become a given program that the kernel kills when our parent ends, even by SIGKILL: `leash.py PARENT_PID PROGRAM ARG…`.

PR_SET_PDEATHSIG survives execve (prctl(2)). Run as a program of its own rather than through `preexec_fn`, which can
deadlock in a process with threads; it imports nothing of ours, so that it starts in milliseconds. Linux only: elsewhere
the program can outlive a killed parent.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Never return: become `command`, or exit 1 if `parent` is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
