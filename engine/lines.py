"""JSON in files that are written whole: one value, or one a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_atomically(path: Path, data: Any, indent: int | None = None) -> None:
    """Write JSON so that a reader sees the whole of it or the old file."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(data, ensure_ascii=False, indent=indent), "utf-8")
    part.replace(path)


def write_lines(path: Path, items: Iterable[Any]) -> Path:
    """Write one JSON value a line; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", errors="replace") as file:
        for item in items:
            file.write(json.dumps(item, ensure_ascii=False) + "\n")
    part.replace(path)
    return path


def read_lines(path: Path) -> list[Any]:
    """The inverse of `write_lines`."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
