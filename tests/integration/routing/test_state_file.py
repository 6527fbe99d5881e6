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
state._db.execute("PRAGMA cache_size=10")  # what is changed goes to the file early, as in a large batch
state._db.execute("BEGIN IMMEDIATE")
for number in range(59_000):
    row = (sys.argv[2], b"%032x" % number, 2, b"new" * 50)
    state._db.execute("INSERT OR REPLACE INTO subject VALUES (?, ?, ?, ?, 1)", row)
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
        assert after._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        after.close()
