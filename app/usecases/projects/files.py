"""Taking the parts of an exported project out of its zip file, which a stranger may have made.

It happens in a process of its own, as reading rows does: `unpack` asks, `python -m app.usecases.projects.files` with
limits, file, folder and tables does it. Every bound is on what is read, not on what the file says of itself. What that
process leaves in the folder are files that it wrote itself: tables are decoded and written anew, so that the database,
which reads them in the program's own process, meets nothing that was made to trouble it.
"""

from __future__ import annotations

import json
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import InputError
from engine.records import MAX_FILE
from engine.records.apart import limits_of, read_apart, read_lists
from engine.records.child import bound_memory, serve
from engine.records.text import MAX_UNPACKED, Ceiling

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
MANIFEST = "tacit.json"
SOURCE = re.compile(r"[0-9a-f]{24}")
"""What recordings are named."""
TOKENIZER = re.compile(
    r"tokenizer/(tokenizer\.json|tokenizer_config\.json|chat_template\.jinja|special_tokens_map\.json)"
)
MAX_NOTE = 10**6
"""Bytes of a part that is held whole: the manifest, an adapter's settings, its result."""
MAX_TOKENIZER = 50 * 10**6
MAX_LINE = 16 * 2**20
"""Bytes of a recording, and of a cell of a table."""
MAX_PARTS = 10_000
_VECTORS = re.compile(r"vectors_\d{1,5}\.parquet")
_ADAPTER = re.compile(
    r"adapters/[0-9a-f]{24}/\w[\w.\-]{0,99}/(adapter_config\.json|adapter_model\.safetensors|result\.json)"
)
_RECORDING = re.compile(r"recordings/[0-9a-f]{24}\.jsonl")
_MAX_DIRECTORY = 4 * 2**20
_CHUNK = 2**18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
)
_END, _END_SIZE = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_SIZE = b"PK\x06\x07", 20
_END_64, _END_64_SIZE = b"PK\x06\x06", 56
_NONE = type(None)
_RECORDED: dict[str, type | tuple[type, ...]] = {
    "teacher": str,
    "query_id": str,
    "rationale": str,
    "answer": (str, _NONE),
    "raw": (str, _NONE),
    "factors": dict,
}
_MORE: dict[str, type | tuple[type, ...]] = {
    "whole": bool,
    "usage": dict,
    "cost": (str, _NONE),
    "latency_s": (int, float, _NONE),
    "finish": str,
}
"""What a line of a recording says, and may say besides."""


def unpack(path: Path, folder: Path, tables: Sequence[str], check: Callable[[dict[str, Any]], T]) -> T:
    """Take the known parts out into a folder, of tables those with these names; returns what `check` makes of the
    manifest, before which no table is decoded.

    Raises:
        InputError: if it is no whole zip file, a part is too large, stands there twice, or a table decodes to too much.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    words = [str(path.absolute()), str(folder.absolute()), json.dumps(list(tables))]
    limits = limits_of(path.stat().st_size, MAX_UNPACKED)
    with closing(read_lists(read_apart("app.usecases.projects.files", words, limits, path.name), path.name)) as lists:
        (manifest,) = next(lists)
        checked = check(manifest)
        for _ in lists:
            pass
    return checked


def _unpack(words: Sequence[str]) -> Iterator[bytes]:
    """As `unpack`, in the process itself; its one line is a list with the manifest."""
    path, folder = Path(words[0]), Path(words[1])
    known = frozenset({MANIFEST, *(f"{table}.parquet" for table in json.loads(words[2]))})
    try:
        _take_all(path, folder, known)
        manifest = dict(json.loads((folder / MANIFEST).read_text("utf-8")))
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"{path.name} is no export of a project, or a damaged one") from error
    yield json.dumps([manifest]).encode()
    for recording in sorted(folder.glob("recordings/*.jsonl")):
        _check_recording(recording)
    ceiling = Ceiling(path.name, path.stat().st_size, hint="")
    tables = sorted(folder.glob("*.parquet"))
    if tables:
        import engine.records.columnar  # noqa: F401, PLC0415 - for the process alone, and not light

        bound_memory()
    for table in tables:
        _write_anew(table, ceiling)


def _take_all(path: Path, folder: Path, tables: frozenset[str]) -> None:
    if path.stat().st_size > MAX_FILE:
        raise InputError(f"{path.name} is larger than {MAX_FILE // 2**30} GiB")
    if _directory_size(path) > _MAX_DIRECTORY:
        raise InputError(f"{path.name} names more than {MAX_PARTS:,} parts")
    with zipfile.ZipFile(path) as file:
        known = [item for item in file.infolist() if item.filename in tables or _is_known(item.filename)]
        names = {item.filename for item in known}
        if len(names) != len(known) or len(known) > MAX_PARTS:
            raise InputError(f"{path.name} names a part twice, or more than {MAX_PARTS:,} parts")
        if any(item.compress_type not in _METHODS or item.flag_bits & 1 for item in known):
            raise InputError(f"{path.name} is packed in a way that exports are not")
        if any(stat.S_ISLNK(item.external_attr >> 16) for item in known):
            raise InputError(f"{path.name} holds a link in the place of a part")
        ceiling = Ceiling(path.name, path.stat().st_size, hint="")
        for item in known:
            _take(file, item, folder, ceiling)


def _is_known(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (_VECTORS, _ADAPTER, TOKENIZER, _RECORDING))


def _take(file: zipfile.ZipFile, item: zipfile.ZipInfo, folder: Path, ceiling: Ceiling) -> None:
    most = _most(item.filename)
    target = folder / item.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    size = line = 0
    with file.open(item) as source, target.open("wb") as out:
        while data := source.read(_CHUNK):
            ceiling.add(len(data))
            size += len(data)
            if most is not None and size > most:
                raise InputError(f"{item.filename} is larger than {most / 10**6:g} MB")
            if item.filename.endswith(".jsonl"):
                line = _longest_tail(data, line, item.filename)
            out.write(data)


def _most(name: str) -> int | None:
    """Bytes of a part that something reads whole; None for one that is read piece by piece."""
    if name.startswith("tokenizer/"):
        return MAX_TOKENIZER
    return MAX_NOTE if name.endswith(".json") else None


def _longest_tail(data: bytes, before: int, name: str) -> int:
    """How long the last line is so far, after `before` bytes of it and these."""
    last = data.rfind(b"\n")
    if last < 0:
        before += len(data)
    if before > MAX_LINE:
        raise InputError(f"{name} has a line of over {MAX_LINE // 2**20} MiB")
    return before if last < 0 else len(data) - last - 1


def _directory_size(path: Path) -> int:
    """Bytes of a zip file's list of parts, which reading it holds as a whole. 0 where no end is found.

    APPNOTE 4.3.14 to 4.3.16: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        begin = max(0, size - 2**16 - _END_SIZE - _LOCATOR_SIZE)
        file.seek(begin)
        tail = file.read()
        end = tail.rfind(_END)
        if end < 0 or len(tail) - end < _END_SIZE:
            return 0
        length = int(struct.unpack_from("<L", tail, end + 12)[0])
        if tail[max(0, end - _LOCATOR_SIZE) : end][:4] == _LOCATOR:
            file.seek(min(size, struct.unpack_from("<Q", tail, end - _LOCATOR_SIZE + 8)[0]))
            wide = file.read(_END_64_SIZE)
            if wide[:4] == _END_64 and len(wide) == _END_64_SIZE:
                length = max(length if length != 2**32 - 1 else 0, int(struct.unpack_from("<Q", wide, 40)[0]))
    return length


def _check_recording(path: Path) -> None:
    """See that every line of a recording says what it should.

    Raises:
        InputError: if one does not.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                data = None
            if not isinstance(data, dict) or not _is_recorded(data):
                raise InputError(f"line {number:,} of recordings/{path.name} can't be read")


def _is_recorded(data: dict[str, Any]) -> bool:
    more = {name: kind for name, kind in _MORE.items() if name in data}
    return all(isinstance(data.get(name, ...), kind) for name, kind in {**_RECORDED, **more}.items())


def _write_anew(path: Path, ceiling: Ceiling) -> None:
    """Decode a table, and put what it holds in its place.

    Raises:
        InputError: if it is none, holds a text of over `MAX_LINE` bytes, or decodes to too much.
    """
    from engine.records.columnar import read_parts, write_parts  # noqa: PLC0415 - as above

    def counted() -> Iterator[tuple[pa.Table, int]]:
        for table, size in read_parts(path, MAX_LINE):
            ceiling.add(size)
            yield table, size

    part = path.with_suffix(".part")
    write_parts(counted(), part)
    part.replace(path)


if __name__ == "__main__":
    serve(_unpack, lambda words: Path(words[0]).name)
