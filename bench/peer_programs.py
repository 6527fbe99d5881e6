"""The peers as programs: built or installed once under `.cache`, each under a digest of what it is made of."""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.errors import MissingPrerequisite
from broker.kafka.clients import KafkaAccess
from broker.kafka.runtime import find_java

_HERE = Path(__file__).parent
_KSTREAMS = _HERE / "kstreams"
FRAMEWORKS = _HERE / "frameworks"
"""Peers in Python, each with the pins of an environment of its own."""

_CACHE = _HERE.parent / ".cache"
# A heap of one size, and the collector that is meant for throughput.
_JVM = ("-Xms768m", "-Xmx768m", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
_MAIN = "be.vlaanderen.datanuts.peer.Peer"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """How a peer is started, and the text of the file by which it reaches Kafka."""

    name: str
    command: Sequence[str]
    login: Callable[[KafkaAccess], str]
    commits_ms: Sequence[int]
    """Commit intervals that are tried; the better one is reported."""
    most_records: int | None = None
    """Where it is slow: as many are enough for a rate."""


def program(name: str, progress: Progress) -> Program:
    """The peer called `name`, ready to be started; raises `MissingPrerequisite` where it cannot be made."""
    return PEERS[name](progress)


def java_login(access: KafkaAccess) -> str:
    """Java properties of a client that logs in by SCRAM."""
    login = {
        "bootstrap.servers": access.bootstrap,
        "security.protocol": access.protocol,
        "sasl.mechanism": access.mechanism,
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f"username={_quoted(access.username)} password={_quoted(access.password)};",
    }
    if access.ca is not None:
        login |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(access.ca)}
    # A backslash begins an escape in such a file.
    return "".join(f"{name}={value}\n" for name, value in login.items()).replace("\\", "\\\\")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _kstreams(progress: Progress) -> Program:
    made_of = [_KSTREAMS / "pom.xml", *sorted((_KSTREAMS / "src").rglob("*.java"))]
    folder = _made("kstreams", made_of, _build, progress)
    command = (str(find_java()), *_JVM, "-cp", f"{folder}/*", _MAIN)
    return Program("kstreams", command, java_login, (100, 1000))


def _build(folder: Path, progress: Progress) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingPrerequisite("Maven and a JDK build the Kafka Streams peer: install `maven` and a JDK")
    progress("building the Kafka Streams peer with Maven (once, about 85 MB of jars)")
    with tempfile.TemporaryDirectory(prefix="datanuts-kstreams-") as scratch:
        _run(
            [
                *(maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", str(_KSTREAMS / "pom.xml")),
                *(f"-Dbuild.folder={scratch}", f"-DoutputDirectory={folder}"),
                *("compiler:compile", "jar:jar", "dependency:copy-dependencies"),
            ],
            "Maven could not build the Kafka Streams peer: is its repository reachable, and is there a JDK?",
        )
        shutil.copy2(Path(scratch) / "kstreams-peer.jar", folder)
    progress("built the Kafka Streams peer")


def _quix(progress: Progress) -> Program:
    command = (str(environment("quix", "Quix Streams", progress)), "-I", str(FRAMEWORKS / "quix_peer.py"))
    return Program("quix", command, lambda access: json.dumps(access.for_librdkafka()), (1000,), most_records=50_000)


def environment(name: str, title: str, progress: Progress) -> Path:
    """The Python of a virtual environment with the pins of this peer; raises `MissingPrerequisite` where it cannot be made."""
    pins = FRAMEWORKS / f"{name}-requirements.txt"

    def install(folder: Path, told: Progress) -> None:
        told(f"installing {title} into a virtual environment of its own (once)")
        _run([sys.executable, "-m", "venv", str(folder)], "Python's venv module is needed: install `python3-venv`")
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(pins))
        _run(pip, f"pip could not install {title}: is its index reachable?")
        told(f"installed {title}")

    return _made(name, [pins], install, progress) / "bin" / "python"


PEERS: Mapping[str, Callable[[Progress], Program]] = {"kstreams": _kstreams, "quix": _quix}


def _made(name: str, made_of: Sequence[Path], make: Callable[[Path, Progress], None], progress: Progress) -> Path:
    """Folder of what is made of these files, made now if need be; one process makes it, others wait."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in made_of)).hexdigest()[:16]
    folder = _CACHE / f"{name}-{digest}"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # In its place from the start, because a virtual environment cannot be moved; whole only with the mark.
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder, progress)
            (folder / "complete").touch()
    return folder


def _run(command: Sequence[str], problem: str) -> None:
    done = subprocess.run(  # noqa: S603 - programs found here, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise MissingPrerequisite(problem, operator=done.stdout[-2000:])
