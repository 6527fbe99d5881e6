"""Keys are made once, found by every process, and never replaced in silence."""

import json
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from broker.control.keys import LANE, LEDGER, FileKeyStore, agreement_key, pseudonym_key
from broker.errors import ConfigError, Invalid, NotYetKnown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


def ensure_in(folder: Path, names: list[str]) -> list[bytes]:
    store = FileKeyStore(folder)
    return [store.ensure(name) for name in names]


def test_a_key_is_unknown_until_somebody_makes_it_and_the_same_ever_after(folder: Path) -> None:
    store, other = FileKeyStore(folder), FileKeyStore(folder)
    with pytest.raises(NotYetKnown):
        store.get(LANE)
    assert not folder.exists()
    lane = other.ensure(LANE)
    assert len(lane) == 32
    assert store.get(LANE) == store.ensure(LANE) == FileKeyStore(folder).get(LANE) == lane


def test_a_key_another_process_adds_later_is_found(folder: Path) -> None:
    store, other = FileKeyStore(folder), FileKeyStore(folder)
    store.ensure(LANE)
    with pytest.raises(NotYetKnown):
        store.get(LEDGER)
    assert other.ensure(LEDGER) == store.get(LEDGER) != store.get(LANE)


def test_processes_that_start_at_once_get_the_same_keys(folder: Path) -> None:
    names = [LANE, LEDGER, *(agreement_key(f"a-{number}") for number in range(6))]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        orders = [names, names[::-1], names[3:] + names[:3], names]
        answers = [
            dict(zip(order, keys, strict=True))
            for order, keys in zip(orders, pool.map(ensure_in, [folder] * 4, orders), strict=True)
        ]
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0].values())) == len(names)


def test_only_the_owner_reads_folder_and_files(folder: Path) -> None:
    FileKeyStore(folder).ensure(LANE)
    assert modes(folder) == {"keys": 0o700, "keys.json": 0o600, "master.key": 0o600}


@pytest.mark.parametrize(("name", "mode"), [(".", 0o750), ("keys.json", 0o640), ("master.key", 0o604)])
def test_what_others_may_read_is_refused(folder: Path, name: str, mode: int) -> None:
    FileKeyStore(folder).ensure(LANE)
    (folder / name).chmod(mode)
    with pytest.raises(ConfigError, match="open to others"):
        FileKeyStore(folder).get(LANE)
    with pytest.raises(ConfigError, match="open to others"):
        FileKeyStore(folder).ensure(LEDGER)


@pytest.mark.parametrize("name", ["keys.json", "master.key"])
def test_a_lost_file_is_never_replaced_by_new_keys(folder: Path, name: str) -> None:
    FileKeyStore(folder).ensure(LANE)
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != name}
    (folder / name).unlink()
    for ask in (FileKeyStore(folder).get, FileKeyStore(folder).ensure):
        with pytest.raises(ConfigError):
            ask(LANE)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


@pytest.mark.parametrize("text", ["", "[]", "{", '{"lane": 1}', '{"lane": "00"}', "é", "[" * 100_000])
def test_a_damaged_key_file_is_refused(folder: Path, text: str) -> None:
    FileKeyStore(folder).ensure(LANE)
    (folder / "keys.json").write_text(text)
    with pytest.raises(ConfigError):
        FileKeyStore(folder).ensure(LEDGER)
    assert (folder / "keys.json").read_text() == text


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "00" * 32])
def test_a_damaged_or_foreign_master_key_is_refused_before_it_wraps_anything(folder: Path, text: str) -> None:
    FileKeyStore(folder).ensure(LANE)
    (folder / "master.key").write_text(text)
    with pytest.raises(ConfigError):
        FileKeyStore(folder).ensure(LEDGER)


def test_a_wrapped_key_cannot_pass_for_another(folder: Path) -> None:
    ensure_in(folder, [LANE, LEDGER])
    wrapped = json.loads((folder / "keys.json").read_text())
    (folder / "keys.json").write_text(json.dumps({LANE: wrapped[LEDGER], LEDGER: wrapped[LANE]}))
    with pytest.raises(ConfigError, match="lane"):
        FileKeyStore(folder).get(LANE)


def test_a_start_interrupted_before_the_first_key_goes_on(folder: Path) -> None:
    lane = FileKeyStore(folder).ensure(LANE)
    for path in folder.iterdir():
        path.unlink()
    (folder / "keys.json").touch(0o600)
    (folder / "keys.json").write_text("{}")
    assert FileKeyStore(folder).ensure(LANE) != lane


def test_a_master_key_from_elsewhere_is_not_written_down(folder: Path) -> None:
    master = bytes(range(32))
    lane = FileKeyStore(folder, master=master).ensure(LANE)
    assert [path.name for path in folder.iterdir()] == ["keys.json"]
    assert FileKeyStore(folder, master=master).get(LANE) == lane
    for master_key in (None, bytes(32)):
        with pytest.raises(ConfigError):
            FileKeyStore(folder, master=master_key).get(LANE)
    with pytest.raises(ConfigError):
        FileKeyStore(folder, master=b"short")


def test_neither_files_nor_texts_show_a_key(folder: Path) -> None:
    store = FileKeyStore(folder, random=lambda size: b"k" * size)
    store.ensure(LANE)
    assert (b"k" * 32).hex() not in (folder / "keys.json").read_text()
    (folder / "master.key").write_text("6b" * 33)
    with pytest.raises(ConfigError) as refused:
        FileKeyStore(folder).get(LANE)
    shown = repr(store) + str(refused.value) + repr(refused.value) + repr(refused.value.__context__)
    assert "kkkk" not in shown
    assert "6b6b" not in shown


def test_names_of_keys_are_made_of_identifiers_only() -> None:
    assert agreement_key("inwoners-gent") == "agreement/inwoners-gent"
    assert pseudonym_key("statistiek", "statistiek-bevolking") == "pseudonym/statistiek/statistiek-bevolking/1"
    for wrong in ("a/b", "", "A"):
        with pytest.raises(Invalid):
            agreement_key(wrong)
        with pytest.raises(Invalid):
            pseudonym_key("statistiek", wrong)
