"""Small files that unpack to gigabytes: refused with the bound in the message, at little memory."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MOST_MIB = 600
"""What reading a bomb may take on top of the process itself."""
_READ = """
import json, resource, sys
from pathlib import Path
from engine.columns import read_queries
from engine.errors import InputError
from engine.records import read_records
from engine.tasks import get_task
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows, error, told = 0, "", ""
try:
    for block in read_queries(read_records(Path(sys.argv[1])), {}, 0, get_task("custom")):
        rows += len(block.queries)
        error = error or (block.errors[0].message if block.errors else "")
except InputError as problem:
    told = str(problem)
own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"rows": rows, "told": told or error, "mib": (own - before + child) // 1024}))
"""


def read_apart(path: Path) -> dict[str, object]:
    """Rows that a file gives in a process of its own, what is told, and the memory of it and its children."""
    done = subprocess.run([sys.executable, "-c", _READ, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def one_cell_many_times(path: Path, length: int, distinct: int, rows: int) -> None:
    texts = pa.array([f"{number}{'x' * length}" for number in range(distinct)])
    indices = pa.array([row % distinct for row in range(rows)], pa.int32())
    table = pa.table({"query": pa.DictionaryArray.from_arrays(indices, texts)})
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=2**30)


def long_dictionary(path: Path) -> None:
    one_cell_many_times(path, 10_000_000, 1, 400)


def many_long_cells(path: Path) -> None:
    one_cell_many_times(path, 10_000_000, 55, 400)


def long_list(path: Path) -> None:
    values = pa.array(np.zeros(100_000_000, np.int8))
    choices = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    pq.write_table(pa.table({"query": ["q"], "choices": choices}), path, compression="zstd")


def shared_prefixes(path: Path) -> None:
    table = pa.table({"query": [f"{'x' * 1_000_000}{number}" for number in range(700)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding={"query": "DELTA_BYTE_ARRAY"})


def permitted_cells_without_end(path: Path) -> None:
    one_cell_many_times(path, 90_000, 1, 200_000)


def many_columns(path: Path) -> None:
    pq.write_table(pa.table({f"c{number}": ["q"] for number in range(3_000)}), path)


def packed(begin: bytes, part: bytes, times: int, end: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(begin)
            for _ in range(times):
                file.write(part)
            file.write(end)

    return write


def keys_of_one_row(path: Path) -> None:
    path.write_text(json.dumps([{"query": "q", **{f"k{number}": 1 for number in range(10**6)}}]))


def keys_of_many_rows(path: Path) -> None:
    rows = ({"query": "q", **{f"k{row}-{number}": 1 for number in range(900)}} for row in range(300))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.mark.parametrize(
    ("name", "write", "bound"),
    [
        ("a.parquet", long_dictionary, "100,000 characters"),
        ("b.parquet", many_long_cells, "512 MiB"),
        ("c.parquet", long_list, "512 MiB"),
        ("d.parquet", shared_prefixes, "512 MiB"),
        ("e.parquet", permitted_cells_without_end, "256 MiB"),
        ("f.parquet", many_columns, "1,000"),
        ("a.json.gz", packed(b"[", b'"' + b"x" * 999_000 + b'",', 150, b"1]"), "MiB"),
        ("b.json.gz", packed(b"[", b"0," * 500_000, 150, b"1]"), "no named fields"),
        ("c.json.gz", packed(b"[[", b"[]," * 300_000, 60, b"1]]"), "4,194,304 characters"),
        ("d.jsonl.gz", packed(b"", b'{"query": "' + b"x" * 90_000 + b'"}\n', 1_500, b""), "MiB"),
        ("e.csv.gz", packed(b'query\n"', b"x" * 999_999 + b"\n", 150, b""), "MiB"),
        ("f.txt.gz", packed(b"", b"x" * 999_999, 150, b""), "MiB"),
        ("a.json", keys_of_one_row, "4,194,304 characters"),
        ("b.jsonl", keys_of_many_rows, "1,000 columns"),
    ],
)
def test_a_bomb_is_refused_at_little_memory(
    tmp_path: Path, name: str, write: Callable[[Path], None], bound: str
) -> None:
    write(tmp_path / name)
    found = read_apart(tmp_path / name)
    assert bound in str(found["told"])
    assert int(str(found["mib"])) < MOST_MIB


@pytest.mark.parametrize("name", ["big.csv", "big.jsonl.gz", "big.json"])
def test_a_large_file_that_is_no_bomb_is_read_whole(tmp_path: Path, name: str) -> None:
    words = random.Random(0).choices(
        ["how", "many", "of", "these", "numbers", "are", "odd", "if", "one", "is", "left", "out"], k=40_130
    )
    rows = [f"{number} {' '.join(words[number : number + 130])}" for number in range(40_000)]
    content = {
        "big.csv": lambda: "query\n" + "".join(f"{row}\n" for row in rows),
        "big.jsonl.gz": lambda: "".join(f'{{"query": "{row}"}}\n' for row in rows),
        "big.json": lambda: json.dumps([{"query": row} for row in rows]),
    }[name]().encode()
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    found = read_apart(tmp_path / name)
    assert (found["rows"], found["told"]) == (40_000, "")
    assert int(str(found["mib"])) < MOST_MIB
