"""Unpacking a backup, which a stranger may have made.

It happens in a process of its own, as for a project's file: `unpack_backup` asks, and `python -m
app.usecases.workspace.unpacking` with limits, file and folder does it. Every bound is on what is read, not on what the
file says of itself, and the store is read through there once before the program opens it.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from engine.errors import InputError
from engine.records.apart import limits_of, read_apart
from engine.records.child import bound_memory, serve
from engine.records.text import Ceiling

STORE = "tacit.duckdb"
STUDIES = "studies"
"""A folder a study."""
FOLDERS = ("recordings", "runs", "jobs", "exports", STUDIES)
"""What a workspace holds besides its store."""
MAX_BACKUP = 2**40
"""Bytes that a backup may unpack to; beyond 64 MiB 200 times its own size too."""
MAX_PARTS = 1_000_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK = 2**20
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, LookupError, TypeError, RuntimeError)


def unpack_backup(file: Path, folder: Path) -> None:
    """Unpack a backup into a folder.

    Raises:
        InputError: if it is no backup, holds what backups do not, unpacks to too much, or the disk is full.
    """
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    words = [str(file.absolute()), str(folder.absolute())]
    limits = limits_of(file.stat().st_size, MAX_BACKUP)
    for _ in read_apart("app.usecases.workspace.unpacking", words, limits, file.name):
        pass


def _unpack(words: Sequence[str]) -> Iterator[bytes]:
    """As `unpack_backup`, in the process itself; a line a part, so that time is counted by part."""
    file, folder = Path(words[0]), Path(words[1])
    ceiling = Ceiling(file.name, file.stat().st_size, hint="", most=MAX_BACKUP)
    try:
        with zipfile.ZipFile(file) as archive:
            parts = [part for part in archive.infolist() if not part.is_dir()]
            _check(file.name, parts)
            for part in parts:
                yield from _take(archive, part, folder, ceiling)
    except OSError as error:
        raise InputError(f"{file.name} can't be unpacked: {error.strerror or 'the system failed'}") from error
    except _BROKEN as error:
        raise InputError(f"{file.name} can't be unpacked: it is no zip file, or damaged") from error
    from storage.looking_through import look_through  # noqa: PLC0415 - brings the database, for the process alone

    bound_memory()
    yield b"[]"
    try:
        look_through(folder / STORE)
    except InputError as error:
        raise InputError(f"{file.name} can't be restored: {error}") from error


def _check(name: str, parts: Sequence[zipfile.ZipInfo]) -> None:
    names = [part.filename for part in parts]
    if STORE not in names or len(names) > MAX_PARTS or not all(_is_own(one) for one in names):
        raise InputError(f"{name} is no backup of a workspace")
    if len(set(names)) != len(names):
        raise InputError(f"{name} names a part twice")
    if any(part.compress_type not in _METHODS or part.flag_bits & 1 for part in parts):
        raise InputError(f"{name} is packed in a way that backups are not")
    if any(stat.S_ISLNK(part.external_attr >> 16) for part in parts):
        raise InputError(f"{name} holds a link in the place of a part")


def _is_own(name: str) -> bool:
    """Whether a part lies where backups have theirs."""
    path = PurePosixPath(name)
    plain = not path.is_absolute() and not {"..", ""} & set(name.split("/")) and "\\" not in name and ":" not in name
    return name == STORE or (plain and len(path.parts) > 1 and path.parts[0] in FOLDERS)


def _take(archive: zipfile.ZipFile, part: zipfile.ZipInfo, folder: Path, ceiling: Ceiling) -> Iterator[bytes]:
    target = folder / part.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(part) as source, target.open("xb") as out:
        while data := source.read(_CHUNK):
            ceiling.add(len(data))
            out.write(data)
    yield b"[]"


if __name__ == "__main__":
    serve(_unpack, lambda words: Path(words[0]).name)
