"""Files of rows that are wrong, foreign or made to do harm; what of each is good, and what is to be told of it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [f"query {n}, né?" for n in range(20)]
JSONL = "".join(json.dumps({"query": text}, ensure_ascii=False) + "\n" for text in ROWS)
CSV = "query\n" + "".join(f'"{text}"\n' for text in ROWS)
PLAIN = "".join(f'{{"query": "plain {n}"}}\n' for n in range(20))


@dataclass(frozen=True)
class Hostile:
    """A file by its name, how it is made, how many queries it gives, and what is told of it."""

    name: str
    make: Callable[[Path], object]
    good: int
    told: str = ""


def of(name: str, content: str | bytes, good: int, told: str = "") -> Hostile:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return Hostile(name, lambda path: path.write_bytes(data), good, told)


def noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def zipped(*names: str) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for name in names:
            file.writestr(name, b"x" * 100)
    return written.getvalue()


def tarred() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        item = tarfile.TarInfo("../../evil.jsonl")
        item.size = 4
        file.addfile(item, io.BytesIO(b"data"))
    return written.getvalue()


def named_gzip() -> bytes:
    """A gzip file that says it is to be unpacked elsewhere."""
    written = io.BytesIO()
    with gzip.GzipFile("../../../tmp/evil", "wb", fileobj=written) as file:
        file.write(JSONL.encode())
    return written.getvalue()


def table(**columns: object) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    return written.getvalue()


def nested_table(depth: int) -> bytes:
    kind: pa.DataType = pa.int8()
    value: object = 1
    for _ in range(depth):
        kind, value = pa.list_(kind), [value]
    written = io.BytesIO()
    pq.write_table(pa.table({"query": ["deep", "flat"], "x": pa.array([value, None], kind)}), written)
    return written.getvalue()


def twice_named_table() -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["query", "query"]), written)
    return written.getvalue()


TABLE = table(query=ROWS, n=list(range(20)))


def harmed(seed: int) -> bytes:
    """The table with some bytes of its footer changed."""
    rng, data = random.Random(seed), bytearray(TABLE)
    size = int.from_bytes(data[-8:-4], "little")
    for _ in range(6):
        data[rng.randrange(len(data) - 8 - size, len(data) - 8)] = rng.randrange(256)
    return bytes(data)


def long_names(path: Path) -> None:
    names = ",".join(["query", *(f"c{n}{'x' * 3_000}" for n in range(999))])
    path.write_text(names + "\n" + "".join(f"q{n}{',' * 999}\n" for n in range(400)))


def packed(part: bytes, times: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(times):
                file.write(part)

    return make


def deep(depth: int, inside: str = "") -> str:
    return "[" * depth + inside + "]" * depth


ENCODINGS = (
    of("mark8.csv", CSV.encode("utf-8-sig"), 20),
    of("mark16.jsonl", JSONL.encode("utf-16"), 20),
    of("mark32.csv", CSV.encode("utf-32"), 20),
    of("le16.csv", CSV.encode("utf-16-le"), 20),
    of("be16.jsonl", JSONL.encode("utf-16-be"), 20),
    of("le32.jsonl", PLAIN.encode("utf-32-le"), 0, "NUL"),
    of("latin.csv", CSV.encode("cp1252"), 20),
    of("japanese.csv", ("query\n" + "".join(f"学校は{n}どこですか\n" for n in range(20))).encode("shift_jis"), 20),
    of("one-byte.jsonl", JSONL.encode().replace(b"query 7", b"query \xff7"), 19, "not UTF-8 (byte 0xff)"),
    of("overlong.jsonl", JSONL.encode().replace(b"query 7", b"query \xc0\x807"), 19, "not UTF-8 (byte 0xc0)"),
    of("cut-letter.txt", "\n".join(ROWS).encode() + b"\nend \xe2\x82", 20, "not UTF-8"),
    of("surrogate.jsonl", PLAIN + '{"query": "half \\ud83d"}\n', 20, "half a character"),
    of("raw-surrogate.jsonl", PLAIN.encode() + b'{"query": "half \xed\xa0\xbd"}\n', 20, "not UTF-8"),
    of("nul.csv", CSV.replace("query 7", "que\0ry 7"), 19, "NUL character"),
    of("nul.jsonl", PLAIN + '{"query": "a\\u0000b"}\n', 20, "NUL character"),
    of("nuls.csv", bytes(5000), 0, "NUL character"),
    of("noise.csv", noise(60_000), 0),
    of("noise.jsonl", noise(60_000), 0, "can't be used"),
    of("noise.json", noise(60_000), 0, "no"),
    of("bidi.jsonl", '{"query": "a\\u202eb\\u2066c\\u200b"}\n', 1),
    of("lines.jsonl", '{"query": "one\u2028line\u0085here"}\r\n{"query": "two"}\r', 2),
)
ARCHIVES = (
    of("good.jsonl.gz", gzip.compress(JSONL.encode()), 20),
    of("named.jsonl.gz", named_gzip(), 20),
    of("members.jsonl.gz", gzip.compress(JSONL.encode()) + gzip.compress(PLAIN.encode()), 40),
    of("tail.jsonl.gz", gzip.compress(JSONL.encode()) + b"behind", 0, "no whole gzip file"),
    of("cut.jsonl.gz", gzip.compress(noise(90_000).hex().encode())[:-5000], 0, "no whole gzip file"),
    of("crc.jsonl.gz", gzip.compress(JSONL.encode())[:-8] + bytes(8), 0, "no whole gzip file"),
    of("plain.jsonl.gz", JSONL, 0, "no whole gzip file"),
    of("twice.jsonl.gz", gzip.compress(gzip.compress(JSONL.encode())), 0, "packed with gzip"),
    of("empty.csv.gz", gzip.compress(b""), 0, "has no rows"),
    of("tape.jsonl.gz", gzip.compress(tarred()), 0, "is a tar file"),
    Hostile("zeros.jsonl.gz", packed(bytes(2**20), 66), 0, "MiB"),
    Hostile("one-line.csv.gz", packed(b"x" * 2**20, 66), 0, "MiB"),
    of("sheet.csv", zipped("[Content_Types].xml", "xl/workbook.xml"), 0, "is an Excel file"),
    of("sheet.xlsx", zipped("[Content_Types].xml", "xl/workbook.xml"), 0, "is an Excel file"),
    of("letter.txt", zipped("[Content_Types].xml", "word/document.xml"), 0, "is a Word document"),
    of("zip.jsonl", zipped("rows.jsonl"), 0, "is a zip file"),
    of("empty-zip.jsonl", zipped(), 0, "empty zip file"),
    of("old.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + noise(3000), 0, "older Excel"),
    of("tape.csv", tarred(), 0, "is a tar file"),
    of("b.jsonl", bz2.compress(JSONL.encode()), 0, "bzip2"),
    of("x.jsonl", lzma.compress(JSONL.encode()), 0, "packed with xz"),
    of("gz.csv", gzip.compress(CSV.encode()), 0, "name it .gz"),
    of("program.txt", b"\x7fELF" + noise(2000), 0, "is a program"),
    of("page.csv", "<!DOCTYPE html><html><body>Sign in</body></html>", 0, "is a web page"),
)
JSON = (
    of("deep.json", deep(100_000), 0, "lists in lists without end"),
    of("deep.jsonl", PLAIN + deep(5_000) + "\n", 20, "not JSON that can be read"),
    of("deep-object.jsonl", PLAIN + '{"a":' * 3_000 + "1" + "}" * 3_000 + "\n", 20, "not JSON that can be read"),
    of("deepish.jsonl", PLAIN + '{"query": "q", "x": ' + deep(150) + "}\n", 20, "more than 100 lists"),
    of("open.json", deep(50_000)[:50_000], 0, "lists in lists"),
    of("digits.jsonl", PLAIN + '{"query": "q", "n": ' + "9" * 5_000 + "}\n", 20, "not JSON that can be read"),
    of("infinite.jsonl", '{"query": "q", "n": 1e999}\n{"query": "r", "n": NaN}\n', 2),
    of("twice.jsonl", PLAIN + '{"query": "a", "query": "b"}\n', 20, "two fields have the name"),
    of("behind.json", '[{"query": "a"}] more', 0, "more text stands behind its end"),
    of("unended.json", '[{"query": "a"}, {"query": "b', 0, "not JSON"),
    of("commented.json", '// rows\n[{"query": "a"}]', 0, "not JSON"),
    of("numbers.json", json.dumps(list(range(30))), 0, "not an object with named fields"),
    of("many-numbers.json", json.dumps([0] * 20_000), 0, "no named fields"),
    of("texts.json", json.dumps(ROWS), 20),
    of("text.json", '"text"', 0, "no list of rows"),
    of("null.json", "null", 0, "no list of rows"),
    of("concatenated.json", '{"query": "a"}{"query": "b"}', 0, "not JSON"),
    of("integers.jsonl", '{"query": 5}\n{"query": 7.0}\n{"query": [1]}\n', 2, "the query is a list"),
    of("fields.jsonl", PLAIN + json.dumps({f"k{n}": 1 for n in range(10_000)}), 20, "10,000 fields"),
    of(
        "keys.jsonl",
        "".join(json.dumps({"query": "q", **{f"{r}-{n}": 1 for n in range(400)}}) + "\n" for r in range(4)),
        0,
        "1,000 columns",
    ),
    of("long-key.jsonl", json.dumps({"query": "q", "k" * 200_000: 1}), 1),
    of("proto.jsonl", '{"query": "q", "__proto__": {"a": 1}, "constructor": 1, "__class__": 1}', 1),
    of("long-line.jsonl", PLAIN + '{"query": "' + "x" * (5 * 2**20) + '"}\n', 20, "longer than 4,194,304 characters"),
    of("long-cell.jsonl", PLAIN + json.dumps({"query": "x" * 100_001}), 20, "longer than 100,000 characters"),
    of("long-list.jsonl", PLAIN + json.dumps({"query": "q", "x": [0] * 100_000}), 20, "longer than 100,000 characters"),
    of("blank.jsonl", "\n" * 100_000 + PLAIN, 20),
    of("codes.jsonl", json.dumps({"query": "\x1b[2J<img src=x onerror=alert(1)> =cmd|' /C calc'!A0"}), 1),
)
TEXTS = (
    of("quote.csv", CSV + '"never closed\n' + "more\n" * 50, 20, "never closes"),
    of("quote-first.csv", 'query\n"a\nb\n', 0, "never closes"),
    of("inner-quotes.csv", 'query,gold\na"b,1\n"a ""b""",2\n', 2),
    of("header.csv", "query,gold\n", 0, "has no rows"),
    of("same-names.csv", "query,query\na,b\n", 0, "same name"),
    of("no-names.csv", ",query,\n1,a,2\n", 1),
    of("nul-header.csv", "que\0ry\na\n", 0, "its header can't be used"),
    of("wide.csv", ",".join(f"c{n}" for n in range(10_000)) + "\n" + "," * 9_999 + "\n", 0, "10,000 columns"),
    Hostile("long-names.csv", long_names, -1, "name its columns shorter"),
    of("ragged.csv", "query,gold\na,1\nb\nc,2,3\n", 1, "1 cells, but the header has 2"),
    of("commas.csv", "query,gold\na,1\n" + "," * 1_000_000 + "\n", 1, "cells, but the header has 2"),
    of("long-cell.csv", f"query\na\n{'x' * 200_000}\n", 1, "longer than 100,000 characters"),
    of("long-row.csv", "query\na\n" + '"' + f"{'x' * 999}\n" * 4_400 + '"\nb\n', 2, "longer than 4,194,304 characters"),
    of("lines-in-cell.csv", 'query\n"' + "x\n" * 20_000 + '"\nb\n', 2),
    of("returns.csv", "query\ra\rb\r", 2),
    of("formula.csv", 'query\n"=HYPERLINK(""http://x"")"\n+1+1\n@SUM(A1)\n', 3),
    of("one-line.csv", "x" * (6 * 2**20), 0, "its header can't be used"),
    of("one-line.txt", "x" * (6 * 2**20), 0, "longer than 4,194,304 characters"),
    of("quotes.tsv", "query\tgold\n" + '"a\tb"\t1\n' + 'c"\t2\n', 2),
    of("blanks.txt", " \n\t\n" * 1000, 0, "has no rows"),
    of("empty.csv", b"", 0, "is empty"),
    of("kind.exe", b"MZ", 0, "of unknown kind"),
    of("no-kind", b"query\n", 0, "of unknown kind"),
    of(f"{'n' * 240}.csv", CSV, 20),
    of("a\x1b[31m\nb.csv", "query,query\na,b\n", 0, "same name"),
)
TABLES = (
    of("good.parquet", TABLE, 20),
    of("table.csv", TABLE, 0, "is a Parquet file: name it .parquet"),
    of("rows.parquet", CSV, 0, "no readable Parquet"),
    of("mark.parquet", b"PAR1", 0, "no readable Parquet"),
    of("marks.parquet", b"PAR1" + bytes(20) + b"PAR1", 0, "no readable Parquet"),
    of("sealed.parquet", TABLE[:-4] + b"PARE", 0, "no readable Parquet"),
    of("cut.parquet", TABLE[:-20], 0, "no readable Parquet"),
    of("half.parquet", TABLE[: len(TABLE) // 2], 0, "no readable Parquet"),
    of("long-footer.parquet", TABLE[:-8] + b"\xff\xff\xff\x7fPAR1", 0, "no readable Parquet"),
    of("far-footer.parquet", TABLE[:-8] + b"\xff\xff\xff\xffPAR1", 0, "no readable Parquet"),
    of("pages.parquet", TABLE[:4] + noise(300) + TABLE[304:], 0, "no readable Parquet"),
    *(of(f"footer{seed}.parquet", harmed(seed), -1) for seed in range(8)),
    of("wide.parquet", table(**{f"c{n}": ["q"] for n in range(10_000)}), 0, "10,000 columns"),
    of("deep.parquet", nested_table(120), 0, "no readable Parquet"),
    of("names.parquet", twice_named_table(), 1),
    of("numbers.parquet", table(query=[1, 2, None]), 2, "empty query"),
    of("bytes.parquet", table(query=pa.array([b"a", b"\xff\xfe"])), 1, "empty query"),
)
HOSTILE = (*ENCODINGS, *ARCHIVES, *JSON, *TEXTS, *TABLES)
"""All of them. `good` is -1 where it depends on what the library makes of the file."""
