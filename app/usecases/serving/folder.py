"""Where a gateway keeps what it writes: JSON lines that other processes may read while it runs.

`WORKSPACE/gateway/NAME/` holds `gateway.json` (what runs there), `keys.json`, and the journals `meter`, `ledger` and
`queries`, each a file STEM.jsonl that is written and older ones STEM-000001.jsonl, ... that stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final, Generic, NamedTuple, TypeVar

from engine.errors import InputError

T = TypeVar("T")

ABOUT: Final = "gateway.json"
METER, LEDGER, QUERIES = "meter", "ledger", "queries"
_HEAD = 256
"""Bytes by which a file is known again: records hold the time at their beginning."""
_MOST_KNOWN = 512
"""Files that are remembered."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,99}")
_OTHER = re.compile(r"[^A-Za-z0-9._\-]+")


class Stamp(NamedTuple):
    """A file's number on its disk, its bytes, and when it was changed, in ns."""

    inode: int
    size: int
    changed: int


def make_name(project: str) -> str:
    """A project's name as one that a gateway can have."""
    return _OTHER.sub("-", project).strip("-._")[:100] or "tacit"


def gateway_folder(workspace: Path, name: str) -> Path:
    """The folder of a gateway, which may not be there yet.

    Raises:
        InputError: if it can't have that name.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise InputError(f"a gateway can't be named {name[:100]!r}: letters, digits, dots, dashes and underscores")
    return workspace / "gateway" / name


def list_gateways(workspace: Path, project: str) -> list[Path]:
    """The folders of a project's gateways that were started in a workspace, by name."""
    folders = sorted(path.parent for path in (workspace / "gateway").glob(f"*/{ABOUT}"))
    return [folder for folder in folders if read_about(folder).get("project") == project]


def read_about(folder: Path) -> dict[str, Any]:
    """What runs in a gateway's folder, which nobody may change; empty where none ever did, or it can't be read."""
    path = folder / ABOUT
    stamp = read_stamp(path)
    if stamp is None:
        return {}
    try:
        return _read_about(path, stamp)
    except (OSError, ValueError, RecursionError):
        return {}


@lru_cache(maxsize=256)
def _read_about(path: Path, stamp: Stamp) -> dict[str, Any]:
    about = json.loads(path.read_text("utf-8"))
    return about if isinstance(about, dict) else {}


def read_stamp(path: Path) -> Stamp | None:
    """What is another once a file is, read without opening it; None where it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return Stamp(stat.st_ino, stat.st_size, stat.st_mtime_ns)


def journal_files(folder: Path, stem: str) -> list[Path]:
    """The files of a journal, the oldest first."""
    older = sorted(path for path in folder.glob(f"{stem}-*.jsonl") if path.stem[len(stem) + 1 :].isdecimal())
    newest = folder / f"{stem}.jsonl"
    return [*older, *([newest] if newest.is_file() else [])]


def read_journal(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any] | None, int]]:
    """The whole lines of one file from a byte on: each value, None where a line is damaged, and the byte behind it.

    A last line without its end is still being written.
    """
    try:
        file = path.open("rb")
    except OSError:  # it has just been renamed: what stands there is read next time
        return
    with file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            if line.strip():
                yield _read(line), offset


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@dataclass
class _Known(Generic[T]):
    """What is known of one file: what its lines came to, the byte behind them, and by what it is known again."""

    value: T
    head: bytes
    end: int = 0
    stamp: Stamp | None = None


class Follower(Generic[T]):
    """Reads files of journals as they grow: each line once, however often somebody looks.

    `start` makes the value of a file without lines; `take` takes a line into it: what it holds, None where it is
    damaged, and the byte behind it. Values are only good while the `lock` is held: the next look goes on with them.
    """

    def __init__(self, start: Callable[[], T], take: Callable[[T, dict[str, Any] | None, int], None]) -> None:
        self._start, self._take = start, take
        self._known: dict[Path, _Known[T]] = {}
        self.lock = Lock()

    def look(self, path: Path) -> T | None:
        """What a file came to; None where it can't be read. Needs the lock."""
        stamp = read_stamp(path)
        if stamp is None:
            return None
        known = self._known.get(path)
        if known is None or known.stamp != stamp:
            known = self._go_on(path, stamp, known)
        return known.value if known else None

    def _go_on(self, path: Path, stamp: Stamp, known: _Known[T] | None) -> _Known[T] | None:
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError:
            return None
        same = known is not None and known.stamp is not None and known.stamp.inode == stamp.inode
        if known is None or not same or known.end > stamp.size or not head.startswith(known.head):
            known = self._known[path] = _Known(self._start(), head)
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
        for record, end in read_journal(path, known.end):
            self._take(known.value, record, end)
            known.end = end
        known.stamp = stamp
        return known
