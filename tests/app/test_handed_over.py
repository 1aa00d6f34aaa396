"""Backups, studies' grids and records that others hand over: parsed apart, refused by name, nothing written."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from app.usecases.training import study_files
from app.usecases.training.study_files import read_given_records, read_grid_file, take_in_records
from app.usecases.workspace import unpacking
from app.usecases.workspace.upkeep import restore_workspace
from engine.errors import ConfigError, InputError
from engine.records import apart
from engine.study import StudyRecord, list_cells

GRID = """
[study]
name = "s"
project = "p"
seeds = [1, 2]
contrast = ["a", "b"]
[[arms]]
name = "a"
plan = "standard-kd"
[[arms]]
name = "b"
plan = "mixed"
"""
DEEP = 20_000
BAD_GRIDS: dict[str, tuple[bytes, str]] = {
    "a cut table": (b"[study", "is no TOML"),
    "no text": (b"\xff\xfe\x00" * 9, "is no TOML"),
    "nothing": (b"", r"\[study\] is missing"),
    "deep lists": (b"x = " + b"[" * DEEP + b"]" * DEEP, "lists and tables in one another|is no TOML"),
    "deep tables": (
        b"".join(b"x" + b".x" * 200 + b"%d = 1\n" % n for n in range(3)),
        "lists and tables in one another",
    ),
    "a number of a million digits": (b"x = 0x" + b"f" * 900_000, "can't be read as text|is no TOML"),
    "a megabyte and more": (b"# " + b"x" * 1_000_001, "has more than 1,000,000 bytes"),
    "a million runs": (
        GRID.replace("[1, 2]", str(list(range(9000)))).encode(),
        "are over 10,000 runs",
    ),
}


@pytest.mark.parametrize("name", BAD_GRIDS)
def test_a_bad_grid_is_refused_by_name(name: str, tmp_path: Path) -> None:
    data, told = BAD_GRIDS[name]
    (tmp_path / "grid.toml").write_bytes(data)
    with pytest.raises(InputError, match=told) as caught:
        read_grid_file(tmp_path / "grid.toml")
    assert len(str(caught.value)) < 1_000
    (tmp_path / "grid.toml").write_text(GRID)
    assert read_grid_file(tmp_path / "grid.toml").seeds == (1, 2)


def record(tmp_path: Path, **changes: object) -> bytes:
    (tmp_path / "grid.toml").write_text(GRID)
    cell = list_cells(read_grid_file(tmp_path / "grid.toml"))[0]
    answers = (("q1", "k", True, 3, "a text"),)
    made = StudyRecord("s", "a", 1, cell.settings, "student", "finished", "", answers, {})
    return json.dumps({**made.to_dict(), **changes}).encode()


BAD_RECORDS: dict[str, Callable[[Path], bytes]] = {
    "no JSON": lambda _: b"{",
    "a number": lambda _: b"7",
    "deep": lambda _: b"[" * DEEP + b"]" * DEEP,
    "a hundred and one lists": lambda folder: record(folder, facts=json.loads("[" * 101 + "]" * 101)),
    "three million values": lambda _: b"[" + b"0," * 3_000_000 + b"0]",
    "half a surrogate": lambda _: b'{"a": "\\ud800"}',
    "another study": lambda folder: record(folder, study="other"),
    "settings of its own": lambda folder: record(folder, settings="other"),
    "right of none": lambda folder: record(folder, facts={"systems": {"x": {"right": 2, "n": 1, "tokens": 1}}}),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_is_refused_by_name_and_none_is_taken(name: str, tmp_path: Path) -> None:
    good, bad, folder = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "study"
    good.write_bytes(record(tmp_path))
    bad.write_bytes(BAD_RECORDS[name](tmp_path))
    grid = read_grid_file(tmp_path / "grid.toml")
    with pytest.raises(InputError, match=r"bad\.json"):
        take_in_records(folder, grid, [good, bad])
    assert not folder.exists()
    assert take_in_records(folder, grid, [good]) == 1
    assert [one.arm for one in read_given_records(folder)] == ["a"]


def test_what_such_a_file_takes_is_bounded_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "large.json"
    file.write_bytes(b"[" + b"[]," * 1_000_000 + b"[]]")
    monkeypatch.setattr(apart, "MEMORY", 32 * 2**20)
    with pytest.raises(InputError, match=r"large\.json needs more than 32 MiB of memory"):
        take_in_records(tmp_path / "study", read_good(tmp_path), [file])
    monkeypatch.setattr(study_files, "_MOST_RECORD", 10)
    with pytest.raises(InputError, match="has more than 10 bytes"):
        take_in_records(tmp_path / "study", read_good(tmp_path), [file])
    with pytest.raises(InputError, match=r"no file .*nowhere\.toml.* Nothing was started"):
        read_grid_file(tmp_path / "nowhere.toml")


def read_good(tmp_path: Path) -> study_files.Grid:
    (tmp_path / "grid.toml").write_text(GRID)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "MEMORY", 2**29)
        return read_grid_file(tmp_path / "grid.toml")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """A small store with what is asked for besides the table that tells its schema."""

    def make(*more: str) -> bytes:
        file = tmp_path_factory.mktemp("store") / "tacit.duckdb"
        with duckdb.connect(str(file)) as connection:
            connection.execute("CREATE TABLE migrations (number INTEGER)")
            for statement in more:
                connection.execute(statement)
        return file.read_bytes()

    return make


def backup(tmp_path: Path, parts: list[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    file = tmp_path / "bad.zip"
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in parts:
            archive.writestr(name, data)
    return file


LINK = zipfile.ZipInfo("runs/link")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
HOSTILE: dict[str, list[tuple[str | zipfile.ZipInfo, bytes]]] = {
    "a folder of its own": [("etc/passwd", b"x")],
    "upwards": [("runs/../../evil", b"x")],
    "the root": [("/runs/evil", b"x")],
    "backslashes": [("runs/..\\evil", b"x")],
    "a drive": [("runs/C:evil", b"x")],
    "a file where a folder is": [("runs", b"x")],
    "a part twice": [("runs/a", b"x"), ("runs/a", b"y")],
    "a link": [(LINK, b"/etc")],
    "a part inside a part": [("runs/a", b"x"), ("runs/a/b", b"y")],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_backup_writes_nothing(name: str, tmp_path: Path, store: Callable[..., bytes]) -> None:
    file = backup(tmp_path, [("tacit.duckdb", store()), *HOSTILE[name]])
    with pytest.raises(InputError, match=r"bad\.zip .*Nothing was written"):
        restore_workspace(file, tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip"]


SPOILT: dict[str, tuple[tuple[str, ...], str]] = {
    "a view": (("CREATE VIEW projects AS SELECT * FROM read_text('/etc/hostname')",), "holds a view"),
    "a macro": (("CREATE MACRO f() AS 1",), "holds a function"),
    "a type": (("CREATE TYPE mood AS ENUM ('a')",), "holds a type"),
    "another's tables": (("DROP TABLE migrations",), "is none of this program"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_store_that_holds_more_than_tables_is_not_opened(
    name: str, tmp_path: Path, store: Callable[..., bytes]
) -> None:
    statements, told = SPOILT[name]
    with pytest.raises(InputError, match=f"{told}.*Nothing was written"):
        restore_workspace(backup(tmp_path, [("tacit.duckdb", store(*statements))]), tmp_path / "new")
    restore_workspace(backup(tmp_path, [("tacit.duckdb", store()), ("runs/r/a", b"x")]), tmp_path / "new")
    assert (tmp_path / "new/runs/r/a").read_bytes() == b"x"


def test_a_damaged_store_ends_the_process_that_reads_it(tmp_path: Path, store: Callable[..., bytes]) -> None:
    whole = store("CREATE TABLE t AS SELECT range AS n, repeat('x', 99) || range AS s FROM range(50000)")
    spoilt = bytearray(whole)
    for place in range(20_000, len(spoilt), 3000):
        spoilt[place] ^= 0xFF
    for bad in (bytes(spoilt), whole[: len(whole) // 2], b"SQLite format 3\0" + bytes(4000), b""):
        with pytest.raises(InputError, match=r"bad\.zip .*Nothing was written"):
            restore_workspace(backup(tmp_path, [("tacit.duckdb", bad)]), tmp_path / "new")
        assert not (tmp_path / "new").exists()


def test_a_bomb_is_given_up_at_what_a_file_of_its_size_may_hold(
    tmp_path: Path, store: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [("tacit.duckdb", store()), ("runs/bomb", bytes(80 * 2**20))]
    file = backup(tmp_path, parts, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=r"bad\.zip unpacks to more than 64 MiB.*Nothing was written"):
        restore_workspace(file, tmp_path / "new")
    monkeypatch.setattr(unpacking, "MAX_BACKUP", 2**20)
    with pytest.raises(InputError, match=r"bad\.zip can't be unpacked: File too large.*Nothing was written"):
        restore_workspace(backup(tmp_path, parts), tmp_path / "new")
    assert not (tmp_path / "new").exists() and not (tmp_path / "new.part").exists()


@pytest.mark.parametrize("spoil", ["an unknown packing", "a list of parts that lies", "half of it", "no zip"])
def test_a_broken_archive_is_said(spoil: str, tmp_path: Path, store: Callable[..., bytes]) -> None:
    file = backup(tmp_path, [("tacit.duckdb", store()), ("runs/a", b"x" * 5000)])
    data = bytearray(file.read_bytes())
    place = data.rfind(b"PK\x01\x02")
    if spoil == "an unknown packing":
        struct.pack_into("<H", data, place + 10, 93)
    elif spoil == "a list of parts that lies":
        struct.pack_into("<L", data, place + 42, 2**31)
    file.write_bytes({"half of it": data[: len(data) // 2], "no zip": b"hello"}.get(spoil, bytes(data)))
    with pytest.raises(InputError, match=r"bad\.zip .*Nothing was written"):
        restore_workspace(file, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_wrong_setting_of_a_grid_is_named(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text(GRID.replace('name = "s"', 'name = "s"\nloud = 1'))
    with pytest.raises(ConfigError, match="loud"):
        read_grid_file(tmp_path / "g.toml")
