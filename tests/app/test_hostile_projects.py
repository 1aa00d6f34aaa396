"""A corpus of hostile files of projects: nothing is stored, nothing is left or written elsewhere, the fault is named.

Bombs of larger size stand in `test_unpacking.py`, teachers that can't be made here in `test_projects.py`.
"""

from __future__ import annotations

import io
import json
import random
import stat
import struct
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.services import Services, open_services
from engine.config import ProjectConfig
from engine.errors import ConfigError, InputError
from engine.values import make_query
from tests.app.test_hostile_files import MOST_MB, SECONDS, peak_mb

Parts = dict[str, bytes]
SOURCE = "0" * 24
LINE = {"teacher": "old", "query_id": "q", "rationale": "so", "answer": "7", "raw": None, "factors": {}}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_services(tmp_path_factory.mktemp("projects") / "workspace") as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        opened.data.add_queries(project.id, [make_query(f"query {n}") for n in range(30)], {})
        yield opened


@pytest.fixture(scope="module")
def parts(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    file = services.carry.export("p", tmp_path_factory.mktemp("good") / "p.zip")
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def pack(parts: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return written.getvalue()


def with_items(parts: Parts, *items: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for name, data in parts.items():
            if name not in {item.filename for item, _ in items}:
                file.writestr(name, data)
        for item, data in items:
            file.writestr(item, data)
    return written.getvalue()


def without(parts: Parts, word: str) -> Parts:
    return {name: data for name, data in parts.items() if word not in name}


def link(name: str) -> zipfile.ZipInfo:
    item = zipfile.ZipInfo(name)
    item.create_system, item.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return item


def sealed(parts: Parts) -> bytes:
    """The file with the flag of encryption on its parts."""
    data = bytearray(pack(parts))
    place = -1
    while (place := data.find(b"PK\x01\x02", place + 1)) >= 0:
        data[place + 8] |= 1
    return bytes(data)


def miscounted(parts: Parts) -> bytes:
    """The file with another checksum for its manifest."""
    data = bytearray(pack({"tacit.json": parts["tacit.json"], **parts}, zipfile.ZIP_STORED))
    place = data.index(parts["tacit.json"])
    data[place + 3] ^= 1
    return bytes(data)


def twice(parts: Parts) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("tacit.json", parts["tacit.json"])
    return written.getvalue()


def overlapping(parts: Parts) -> bytes:
    """The file in whose list all parts begin at the same place."""
    data = bytearray(pack(parts))
    place = -1
    while (place := data.find(b"PK\x01\x02", place + 1)) >= 0:
        struct.pack_into("<L", data, place + 42, 0)
    return bytes(data)


def table(**columns: Any) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    return written.getvalue()


def manifest(parts: Parts, **changes: Any) -> bytes:
    return json.dumps({**json.loads(parts["tacit.json"]), **changes}).encode()


def config(parts: Parts, **changes: Any) -> bytes:
    return manifest(parts, config={**json.loads(parts["tacit.json"])["config"], **changes})


def harmed(data: bytes, seed: int) -> bytes:
    rng, found = random.Random(seed), bytearray(data)
    for _ in range(8):
        found[rng.randrange(4, len(found))] = rng.randrange(256)
    return bytes(found)


def recorded(parts: Parts, *lines: object) -> bytes:
    """The file with a recorded teacher and its recording."""
    spec = {
        "name": "old",
        "provider": "recorded",
        "model": "m",
        "endpoint": SOURCE,
        "key_variable": None,
        "sampling": {},
    }
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    teachers = table(name=["old"], spec=[json.dumps(spec)])
    return pack({**parts, "teachers.parquet": teachers, f"recordings/{SOURCE}.jsonl": text.encode()})


@dataclass(frozen=True)
class Bad:
    name: str
    make: Callable[[Parts], bytes]
    told: str


def replaced(part: str, make: Callable[[Parts], bytes]) -> Callable[[Parts], bytes]:
    return lambda parts: pack({**parts, part: make(parts)})


BROKEN = "no export of a project, or a damaged one"
BAD = (
    Bad("nothing", lambda parts: b"", BROKEN),
    Bad("text", lambda parts: b"hello", BROKEN),
    Bad("no parts", lambda parts: pack({}), BROKEN),
    Bad("cut", lambda parts: pack(parts)[:-30], BROKEN),
    Bad("half", lambda parts: pack(parts)[: len(pack(parts)) // 2], BROKEN),
    Bad("harmed", lambda parts: harmed(pack(parts), 1), "Nothing was stored"),
    Bad("checksum", miscounted, BROKEN),
    Bad("encrypted", sealed, "packed in a way"),
    Bad("lzma", lambda parts: pack(parts, zipfile.ZIP_LZMA), "packed in a way"),
    Bad("bzip2", lambda parts: pack(parts, zipfile.ZIP_BZIP2), "packed in a way"),
    Bad("twice", twice, "names a part twice"),
    Bad("overlapping", overlapping, BROKEN),
    Bad("link", lambda parts: with_items(parts, (link("queries.parquet"), b"/etc/passwd")), "holds a link"),
    Bad(
        "link of a recording",
        lambda parts: with_items(parts, (link(f"recordings/{SOURCE}.jsonl"), b"/etc/passwd")),
        "holds a link",
    ),
    Bad("no manifest", lambda parts: pack(without(parts, "tacit.json")), BROKEN),
    Bad("folder", lambda parts: pack({**without(parts, "tacit.json"), "tacit.json/": b""}), BROKEN),
    Bad("manifest of a list", replaced("tacit.json", lambda parts: b"[1]"), BROKEN),
    Bad("manifest of lists", replaced("tacit.json", lambda parts: b"[" * 400_000), BROKEN),
    Bad(
        "manifest in UTF-16",
        replaced("tacit.json", lambda parts: parts["tacit.json"].decode().encode("utf-16")),
        BROKEN,
    ),
    Bad("long manifest", replaced("tacit.json", lambda parts: b" " * 2_000_000), "1 MB"),
    Bad("newer schema", replaced("tacit.json", lambda parts: manifest(parts, schema=999)), "newer version"),
    Bad("newer format", replaced("tacit.json", lambda parts: manifest(parts, format=2)), "newer version"),
    Bad("schema of text", replaced("tacit.json", lambda parts: manifest(parts, schema="many")), BROKEN),
    Bad("endless schema", replaced("tacit.json", lambda parts: manifest(parts, schema=1e400)), "Nothing was stored"),
    Bad("no name", replaced("tacit.json", lambda parts: config(parts, name="")), "needs a name"),
    Bad("long name", replaced("tacit.json", lambda parts: config(parts, name="x" * 101)), "at most 100 characters"),
    Bad("name with codes", replaced("tacit.json", lambda parts: config(parts, name="a\x1b[2Jb")), "control characters"),
    Bad("name with NUL", replaced("tacit.json", lambda parts: config(parts, name="a\0b")), "control characters"),
    Bad(
        "name turned round", replaced("tacit.json", lambda parts: config(parts, name="a\u202eb")), "control characters"
    ),
    Bad("half a name", replaced("tacit.json", lambda parts: config(parts, name="a\ud800b")), ""),
    Bad("unknown task", replaced("tacit.json", lambda parts: config(parts, task="rm -rf /")), "there is no"),
    Bad("unknown setting", replaced("tacit.json", lambda parts: config(parts, shell="id")), "shell"),
    Bad("no tables", lambda parts: pack({"tacit.json": parts["tacit.json"]}), "tables don't fit together"),
    Bad("table of text", replaced("queries.parquet", lambda parts: b"id,text\n1,2\n"), "no readable Parquet"),
    Bad("empty table", replaced("queries.parquet", lambda parts: b""), "no readable Parquet"),
    Bad("cut table", replaced("samples.parquet", lambda parts: parts["samples.parquet"][:-9]), "no readable Parquet"),
    Bad(
        "long footer",
        replaced("golds.parquet", lambda parts: parts["golds.parquet"][:-8] + b"\xff\xff\xff\x7fPAR1"),
        "no readable Parquet",
    ),
    Bad("other columns", replaced("queries.parquet", lambda parts: table(x=[1])), "no column"),
    Bad(
        "other types",
        replaced("golds.parquet", lambda parts: table(query_id=[[1]], label=[{"a": 1}])),
        "",
    ),
    Bad(
        "wide table",
        replaced("queries.parquet", lambda parts: table(**{f"c{n}": [1] for n in range(3_000)})),
        "3,000 columns",
    ),
    Bad(
        "long cell",
        replaced("golds.parquet", lambda parts: table(query_id=["q"], label=["x" * (17 * 2**20)])),
        "holds a cell of 17 MiB",
    ),
    *(
        Bad(
            f"harmed table {seed}",
            replaced("queries.parquet", lambda parts, s=seed: harmed(parts["queries.parquet"], s)),
            "",
        )
        for seed in range(6)
    ),
    Bad("recording of text", lambda parts: recorded(parts, LINE, "not json"), "line 2 of recordings"),
    Bad("recording of lists", lambda parts: recorded(parts, "[" * 100_000), "line 1 of recordings"),
    Bad("recording without an id", lambda parts: recorded(parts, {**LINE, "query_id": 5}), "line 1 of recordings"),
    Bad("recording of objects", lambda parts: recorded(parts, {**LINE, "answer": {"a": 1}}), "line 1 of recordings"),
    Bad(
        "no recording",
        lambda parts: pack(without(zip_of(recorded(parts, LINE)), "recordings")),
        "recording of old is not in the file",
    ),
)


def zip_of(data: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def left_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "duckdb" not in path.name}


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_hostile_project_is_refused_and_nothing_of_it_stays(
    services: Services, parts: Parts, tmp_path: Path, bad: Bad
) -> None:
    path, here = tmp_path / "bad.zip", left_in(services.context.workspace)
    path.write_bytes(bad.make(parts))
    names = [row["name"] for row in services.standing.overview()]
    before, started = peak_mb(), time.monotonic()
    try:
        services.carry.bring(path, "" if "name" in bad.name else "brought")
    except (InputError, ConfigError) as error:
        told = str(error)
    else:
        told = "made"
        services.carry.archive("brought")
        services.keep.purge("brought", "brought")
    assert time.monotonic() - started < SECONDS and peak_mb() - before < MOST_MB
    assert bad.told in told and (told != "made" or not bad.told)
    assert "Traceback" not in told and [row["name"] for row in services.standing.overview()] == names
    assert left_in(services.context.workspace) == here and [one.name for one in tmp_path.iterdir()] == ["bad.zip"]


def test_names_that_lead_elsewhere_are_left_out(services: Services, parts: Parts, tmp_path: Path) -> None:
    names = [
        *(
            "../escaped",
            "/tmp/escaped",
            "C:\\escaped",
            "..\\escaped",
            "a/../../escaped",
            "recordings/../../escaped.jsonl",
        ),
        *(f"adapters/{SOURCE}/../result.json", f"adapters/{SOURCE}/.../result.json", "tokenizer/../tokenizer.json"),
        *("tokenizer/escaped.json", "queries.parquet/escaped", "./tacit.json", "TACIT.JSON", "queries.parquet\u200b"),
    ]
    path = tmp_path / "p.zip"
    path.write_bytes(pack({**parts, **dict.fromkeys(names, b"escaped")}))
    before = left_in(services.context.workspace)
    assert services.carry.bring(path, "led").name == "led"
    assert left_in(services.context.workspace) == before
    assert not list(tmp_path.rglob("*escaped*")) and not Path("/tmp/escaped").exists()


def test_a_recording_that_says_what_it_should_is_taken(services: Services, parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    path.write_bytes(recorded(parts, LINE, {**LINE, "query_id": "r", "whole": True, "usage": {}, "cost": "0.1"}))
    assert services.carry.bring(path, "recorded").name == "recorded"
    assert (services.context.recordings / f"{SOURCE}.jsonl").is_file()
