"""Reads the rows of a user's file one by one: JSONL, JSON, CSV, TSV, Parquet or plain text, gzipped or not.

A bad row is an error with its number; the good ones go on. Files are streamed, save for JSON arrays.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import charset_normalizer
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import InputError

MAX_CELL = 100_000
MAX_FILE = 8 * 2**30
"""Bytes of a file, unpacked."""
_MAX_JSON_BYTES = 256 * 2**20
_MAX_LINE = 257 * 2**20
_SNIFF_BYTES = 2**20
_MOSTLY = 0.9


@dataclass(frozen=True)
class Record:
    """One row, counted from 1: its values, or why it can't be used."""

    row: int
    values: dict[str, Any]
    error: str | None = None


def read_records(path: Path) -> Iterator[Record]:
    """Rows of a file in its order.

    Raises:
        InputError: if the file is missing, empty, of an unknown kind, or broken as a whole.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty")
    if path.stat().st_size > MAX_FILE:
        raise InputError(f"{path.name} is larger than {MAX_FILE // 2**30} GiB; split it")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if kind == ".parquet":
        return _read_parquet(path)
    readers = {".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_text}
    if kind == ".json":
        return _read_json(path)
    if kind not in readers:
        raise InputError(
            f"{path.name}: of unknown kind; give .jsonl, .json, .csv, .tsv, .parquet or .txt, or these .gz"
        )
    return readers[kind](path)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _encoding(path: Path) -> str:
    """UTF-8 where nine lines in ten are; else the byte order mark's or the likeliest legacy encoding.

    Where Windows' Western one is among the likely, it is taken: neighbours of it score alike on few accents.
    """
    try:
        with _open(path) as file:
            head = file.read(_SNIFF_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path.name} can't be read: {error}") from error
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if len(head) == _SNIFF_BYTES:
        head = head[: _whole_characters(head)]
    lines = head.splitlines()
    good = sum(_is_utf8(line) for line in lines)
    if good >= _MOSTLY * max(1, len(lines)):
        return "utf-8-sig"
    likely = charset_normalizer.from_bytes(head[:50_000])
    if any("cp1252" in (match.encoding, *match.could_be_from_charset) for match in likely):
        return "cp1252"
    best = likely.best()
    return best.encoding if best else "utf-8-sig"


def _whole_characters(head: bytes) -> int:
    """Where the last character begins that may be cut off, if these bytes are UTF-8; else their number."""
    for back in range(1, min(4, len(head)) + 1):
        if head[-back] & 0xC0 == 0xC0:  # the first byte of a character of several bytes
            return len(head) - back
        if head[-back] < 0x80:
            break
    return len(head)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _lines(path: Path) -> Iterator[tuple[str, str | None]]:
    """Lines with their newline, and what is wrong with each; undecodable bytes are escaped."""
    encoding = _encoding(path)
    errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
    try:
        with _open(path) as raw, io.TextIOWrapper(raw, encoding, errors=errors, newline="") as file:
            size = 0
            while line := file.readline(_MAX_LINE):
                if len(line) == _MAX_LINE:
                    raise InputError(f"{path.name} has a line of over {_MAX_LINE // 2**20} million characters")
                size += len(line)
                if size > MAX_FILE:
                    raise InputError(
                        f"{path.name} unpacks to more than {MAX_FILE // 2**30} GiB; the rows before were read"
                    )
                bad = next((ord(c) - 0xDC00 for c in line if 0xDC80 <= ord(c) <= 0xDCFF), None)
                yield line, None if bad is None else f"not UTF-8 (byte 0x{bad:02x})"
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise InputError(f"{path.name} breaks off: {error}; the rows before that were read") from error


def check_row(row: int, values: Any, error: str | None = None) -> Record:
    """A row as a record, with an error where it has no named fields, a cell is too long, or a text is no Unicode."""
    if error is None and not isinstance(values, dict):
        error = "not an object with named fields"
    elif error is None and any(isinstance(v, str) and len(v) > MAX_CELL for v in values.values()):
        error = f"a cell is longer than {MAX_CELL:,} characters"
    elif error is None and not _is_unicode(values):
        error = "a text holds half a character (a lone surrogate or a byte that is not UTF-8)"
    return Record(row, {}, error) if error else Record(row, {str(k): v for k, v in values.items()})


def _is_unicode(values: Any) -> bool:
    """Whether all texts can be stored: JSON may name halves of characters that no encoding has."""
    try:
        json.dumps(values, ensure_ascii=False, default=str).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _read_jsonl(path: Path) -> Iterator[Record]:
    for row, (line, error) in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            values = {} if error else json.loads(line)
        except (ValueError, RecursionError) as problem:
            values, error = {}, f"not JSON: {problem}"
        yield check_row(row, values, error)


def _read_json(path: Path) -> Iterator[Record]:
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise InputError(f"{path.name} is one JSON value of over 256 MiB; give it as .jsonl, which is read row by row")
    try:
        data = json.loads("".join(line for line, _ in _lines(path)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is not JSON: {error}") from error
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        data = lists[0] if len(lists) == 1 else [data]
    if not isinstance(data, list):
        raise InputError(f"{path.name} holds no list of rows")
    for row, values in enumerate(data, 1):
        yield check_row(row, values)


def _read_csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(2**27)
    errors: dict[int, str] = {}

    def text() -> Iterator[str]:
        for number, (line, error) in enumerate(_lines(path), 1):
            if error:
                errors[number] = error
            yield line.replace("\0", "")

    reader = csv.reader(text(), delimiter=_delimiter(path))
    header: list[str] | None = None
    row, last = 0, 0
    try:
        for cells in reader:
            first, last = last + 1, reader.line_num
            if header is None:
                header = [cell.strip() for cell in cells]
                if len(set(header)) != len(header):
                    raise InputError(f"{path.name}: two columns have the same name")
                continue
            if not cells:
                continue
            row += 1
            error = next((errors[n] for n in range(first, last + 1) if n in errors), None)
            if error is None and len(cells) != len(header):
                error = f"{len(cells)} cells, but the header has {len(header)}"
            yield check_row(row, dict(zip(header, cells, strict=False)), error)
    except csv.Error as error:
        raise InputError(f"{path.name} breaks off at line {reader.line_num}: {error}") from error


def _delimiter(path: Path) -> str:
    if ".tsv" in [suffix.lower() for suffix in path.suffixes]:
        return "\t"
    header = next(_lines(path), ("", None))[0]
    return max(",;\t|", key=header.count) if header else ","


def _read_text(path: Path) -> Iterator[Record]:
    for row, (line, error) in enumerate(_lines(path), 1):
        if line.strip():
            yield check_row(row, {"query": line.strip()}, error)


def _read_parquet(path: Path) -> Iterator[Record]:
    row = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096):
                for values in batch.to_pylist():
                    row += 1
                    yield check_row(row, values)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path.name} is no readable Parquet file: {error}") from error
