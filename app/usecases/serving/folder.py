"""Where a gateway keeps what it writes: JSON lines that other processes may read while it runs.

`WORKSPACE/gateway/NAME/` holds `gateway.json` (what runs there), `keys.json`, and the journals `meter`, `ledger` and
`queries`, each a file STEM.jsonl that is written and older ones STEM-000001.jsonl, ... that stay as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from engine.errors import InputError

ABOUT: Final = "gateway.json"
METER, LEDGER, QUERIES = "meter", "ledger", "queries"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,99}")
_OTHER = re.compile(r"[^A-Za-z0-9._\-]+")


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


def list_gateways(workspace: Path) -> list[Path]:
    """The folders of the gateways that were started in a workspace, by name."""
    return sorted(path.parent for path in (workspace / "gateway").glob(f"*/{ABOUT}"))


def read_about(folder: Path) -> dict[str, Any]:
    """What runs in a gateway's folder; empty where none ever did, or it can't be read."""
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


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
