"""Taking the parts of an exported project out of its zip file, which a stranger may have made.

Every bound is on what is read, not on what the file says of itself.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from engine.errors import InputError
from engine.records import MAX_FILE
from engine.records.columnar import check_tables
from engine.records.text import Ceiling

MAX_NOTE = 10**6
"""Bytes of a part that is held whole: the manifest, an adapter's settings, its result."""
MAX_TOKENIZER = 50 * 10**6
MAX_LINE = 16 * 2**20
"""Bytes of a recording, and of a cell of a table."""
MAX_PARTS = 10_000
_MAX_DIRECTORY = 4 * 2**20
_CHUNK = 2**18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END, _END_SIZE = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_SIZE = b"PK\x06\x07", 20
_END_64, _END_64_SIZE = b"PK\x06\x06", 56


def unpack(path: Path, folder: Path, is_known: Callable[[str], bool]) -> None:
    """Take the known parts out into a folder.

    Raises:
        InputError: if a part is too large, stands there twice, or a table decodes to too much.
        zipfile.BadZipFile: if it is no whole zip file.
    """
    if path.stat().st_size > MAX_FILE:
        raise InputError(f"{path.name} is larger than {MAX_FILE // 2**30} GiB. Nothing was stored.")
    if _directory_size(path) > _MAX_DIRECTORY:
        raise InputError(f"{path.name} names more than {MAX_PARTS:,} parts. Nothing was stored.")
    with zipfile.ZipFile(path) as file:
        known = [item for item in file.infolist() if is_known(item.filename)]
        names = {item.filename for item in known}
        if len(names) != len(known) or len(known) > MAX_PARTS:
            raise InputError(f"{path.name} names a part twice, or more than {MAX_PARTS:,} parts. Nothing was stored.")
        if any(item.compress_type not in _METHODS for item in known):
            raise InputError(f"{path.name} is packed in a way that exports are not. Nothing was stored.")
        ceiling = Ceiling(path.name, path.stat().st_size, hint="")
        for item in known:
            _take(file, item, folder, ceiling)
    tables = sorted(folder.glob("*.parquet"))
    if tables:
        check_tables(tables, MAX_LINE)


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
                raise InputError(f"{item.filename} is larger than {most / 10**6:g} MB. Nothing was stored.")
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
        raise InputError(f"{name} has a line of over {MAX_LINE // 2**20} MiB. Nothing was stored.")
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
