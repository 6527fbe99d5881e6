"""The state file outlives its process, wherever that is killed."""

import signal
import subprocess
import sys
from pathlib import Path

from broker.policy.engine import Previous
from broker.routing.lane_state import Absorbed, LaneState

TOPIC, PATHS = "source.rijksregister.persoon.v1", ("adres.gemeente.nis",)
KEYS = [b"%032x" % number for number in range(60_000)]
KILLED_IN_A_WRITE = """
import os, signal, sys
from pathlib import Path
from broker.routing.lane_state import LaneState
state = LaneState(Path(sys.argv[1]))
table = state._table(sys.argv[2])
with state._file.at_once() as transaction:
    for number in range(59_000):
        transaction.put(bytes.fromhex("%032x" % number), b"new" * 50, db=table)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_router_killed_in_a_write_leaves_the_state_before_it(tmp_path: Path) -> None:
    path = tmp_path / "0.sqlite"
    before = LaneState(path)
    before.write({TOPIC: {key: Previous((b"old",), 1) for key in KEYS}}, [Absorbed(TOPIC, 10, PATHS)])
    before.close()
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_A_WRITE, str(path), TOPIC], check=False)
    assert killed.returncode == -signal.SIGKILL
    after = LaneState(path)
    try:
        assert after.absorbed(TOPIC, PATHS) == 10
        assert after.read(TOPIC, KEYS) == {key: Previous((b"old",), 1) for key in KEYS}
        after.write({TOPIC: {key: Previous((b"new",), 2) for key in KEYS}}, [Absorbed(TOPIC, 20, PATHS)])
        assert dict(after.all(TOPIC)) == {key: Previous((b"new",), 2) for key in KEYS}
    finally:
        after.close()
