"""A project's file from a stranger: what it unpacks to is bounded by what is read, at little memory."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.services import Services, open_services
from tests.fakes.forks import run

MOST_MIB = 600
SOURCE = "0" * 24
MANIFEST = json.dumps({"format": 1, "schema": 1, "config": {"name": "bomb", "task": "custom"}})


def deflated(name: str, begin: bytes, part: bytes, times: int) -> Callable[[zipfile.ZipFile], None]:
    def write(file: zipfile.ZipFile) -> None:
        item = zipfile.ZipInfo(name)
        item.compress_type = zipfile.ZIP_DEFLATED
        with file.open(item, "w", force_zip64=True) as out:
            out.write(begin)
            for _ in range(times):
                out.write(part)

    return write


def long_cells(file: zipfile.ZipFile) -> None:
    file.writestr("tacit.json", MANIFEST)
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 400, pa.int32()), pa.array(["x" * 17_000_000]))
    written = BytesIO()
    pq.write_table(pa.table({"id": texts}), written, compression="zstd")
    file.writestr("queries.parquet", written.getvalue())


def many_cells(file: zipfile.ZipFile) -> None:
    file.writestr("tacit.json", MANIFEST)
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 4_000, pa.int32()), pa.array(["x" * 1_000_000]))
    written = BytesIO()
    pq.write_table(pa.table({"id": texts}), written, compression="zstd")
    file.writestr("queries.parquet", written.getvalue())


def twice(file: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            file.writestr("queries.parquet", b"x")


def many_names(file: zipfile.ZipFile) -> None:
    for number in range(60_000):
        file.writestr(f"{'x' * 60}{number}", b"")


def another_packing(file: zipfile.ZipFile) -> None:
    file.writestr("queries.parquet", b"x" * 1000, zipfile.ZIP_LZMA)


@pytest.mark.parametrize(
    ("write", "bound"),
    [
        (deflated("tacit.json", b'{"a": "', b"x" * 10**6, 1500), "1 MB"),
        (deflated(f"adapters/{SOURCE}/stage1/result.json", b"[", b"0," * 10**6, 100), "1 MB"),
        (deflated("tokenizer/tokenizer.json", b"[", b"0," * 10**6, 100), "50 MB"),
        (deflated(f"recordings/{SOURCE}.jsonl", b"{", b"x" * 10**6, 60), "16 MiB"),
        (deflated(f"recordings/{SOURCE}.jsonl", b"", b"x" * 999 + b"\n", 10**5), "64 MiB"),
        (deflated(f"adapters/{SOURCE}/stage1/adapter_model.safetensors", b"", b"\0" * 10**6, 300), "64 MiB"),
        (long_cells, "16 are read"),
        (many_cells, "64 MiB"),
        (twice, "twice"),
        (many_names, "10,000 parts"),
        (another_packing, "packed in a way"),
    ],
)
def test_a_project_that_is_a_bomb_is_refused_at_little_memory(
    tmp_path: Path, workspace: Path, write: Callable[[zipfile.ZipFile], None], bound: str
) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as file:
        write(file)
    done = run("tests.fakes.bringing", str(tmp_path / "bomb.zip"), str(workspace))
    assert done.returncode == 0, done.stderr
    told, mib, names = json.loads(done.stdout)
    assert bound in told and told.count("Nothing was stored") == 1
    assert mib < MOST_MIB and names == []
    assert sorted(path.name for path in workspace.iterdir() if path.is_dir()) == sorted(
        name for name in ("exports", "jobs", "recordings", "runs") if (workspace / name).is_dir()
    ), "nothing of what was unpacked stays"


def test_a_size_that_the_file_lies_about_is_not_believed(tmp_path: Path, workspace: Path) -> None:
    path = tmp_path / "lies.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("tacit.json", b'{"a": "' + b"x" * 5_000_000)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, entry + 24, 10)
    path.write_bytes(bytes(data))
    with open_services(workspace) as services, pytest.raises(Exception, match="Nothing was stored"):
        services.carry.bring(path)


def test_a_project_of_ordinary_size_is_brought(selected: Services, tmp_path: Path) -> None:
    assert selected.carry.bring(selected.carry.export("p", tmp_path / "p.zip"), "again").name == "again"
