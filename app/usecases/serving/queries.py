"""Queries that callers asked a gateway, taken into its project as new unlabeled ones, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.usecases.data.imports import follow_families
from app.usecases.serving.folder import (
    QUERIES,
    Follower,
    Stamp,
    journal_files,
    list_gateways,
    read_journal,
    read_stamp,
)
from app.usecases.serving.meter import Meter, read_meter
from app.usecases.workspace.context import Context
from engine.lines import write_atomically
from engine.values import Query, Split, make_query, query_from_json

_TAKEN = "taken.json"
_BLOCK = 5_000


@dataclass(frozen=True)
class TakenQueries:
    """What was taken: `new` ones, those that the project `had` already, and lines that were `damaged`."""

    new: int
    had: int
    damaged: int


@dataclass(frozen=True)
class GatewayService:
    """Use cases of what gateways left in the workspace."""

    context: Context

    def meters(self, project_name: str) -> list[Meter]:
        """What a project's gateways came to so far, whether they run or not; the newest first.

        Raises:
            NotFound: if there is no such project.
        """
        project = self.context.projects.get(project_name)
        meters = [read_meter(folder) for folder in list_gateways(self.context.workspace, project.name)]
        return sorted(meters, key=lambda meter: meter.until or 0.0, reverse=True)

    def waiting(self, project_name: str) -> int:
        """How many queries of callers can be taken into a project.

        Raises:
            NotFound: if there is no such project.
        """
        return count_waiting(self.context.workspace, self.context.projects.get(project_name).name)

    def take_queries(self, project_name: str) -> TakenQueries:
        """Store what callers asked this project's gateways (`--log-queries`) since it was last taken.

        They are queries to distill from, without gold labels; one that is held out stays so.

        Raises:
            NotFound: if there is no such project.
        """
        project = self.context.projects.get(project_name)
        new = had = damaged = 0
        for folder in list_gateways(self.context.workspace, project.name):
            for block, bad, mark in _read_new(folder):
                added = self.context.queries.add(project.id, follow_families(self.context, project.id, block), {})
                new, had, damaged = new + added, had + len(block) - added, damaged + bad
                write_atomically(folder / _TAKEN, mark)
        return TakenQueries(new, had, damaged)


def count_waiting(workspace: Path, project_name: str) -> int:
    """How many logged queries of a project were not taken yet; the same query asked twice counts once."""
    waiting: set[str] = set()
    with _FILES.lock:
        for folder in list_gateways(workspace, project_name):
            begin, before = _read_taken(folder), 0
            for path in journal_files(folder, QUERIES):
                stamp = read_stamp(path)
                size = stamp.size if stamp else 0
                ends = _FILES.look(path) if begin < before + size else None
                waiting.update(name for name, end in (ends or {}).items() if before + end > begin)
                before += size
    return len(waiting)


def _take(ends: dict[str, int], record: dict[str, Any] | None, end: int) -> None:
    query = None if record is None else _read_query(record)
    if query is not None:
        ends[query.id] = end


_FILES = Follower[dict[str, int]](dict, _take)
"""The byte behind the last line of each query of a file, by the query's id."""


def _read_new(folder: Path) -> Iterator[tuple[list[Query], int, dict[str, int]]]:
    """Blocks of queries that were not taken yet, lines that were damaged, and what to remember once they are stored.

    That is the number of bytes read of all files together: files are only ever added to, and a file that gets a number
    keeps its place.
    """
    begin = _read_taken(folder)
    block: dict[str, Query] = {}
    before = damaged = 0
    end = begin
    for path in journal_files(folder, QUERIES):
        size = path.stat().st_size
        for record, behind in read_journal(path, max(0, begin - before)) if begin < before + size else ():
            end = before + behind
            query = None if record is None else _read_query(record)
            damaged += query is None
            if query is not None:
                block.setdefault(query.id, query)
            if len(block) >= _BLOCK:
                yield list(block.values()), damaged, {"bytes": end}
                block, damaged = {}, 0
        before += size
    if end > begin:
        yield list(block.values()), damaged, {"bytes": end}


def _read_taken(folder: Path) -> int:
    path = folder / _TAKEN
    stamp = read_stamp(path)
    try:
        return _read_bytes(path, stamp) if stamp else 0
    except (OSError, ValueError, LookupError, TypeError):
        return 0


@lru_cache(maxsize=256)
def _read_bytes(path: Path, stamp: Stamp) -> int:
    return max(0, int(json.loads(path.read_text("utf-8"))["bytes"]))


def _read_query(record: dict[str, Any]) -> Query | None:
    """The query of a line; None if it holds none. Its id is reckoned anew: files can be written by anybody."""
    try:
        read = query_from_json({**record["query"], "split": Split.DISTILL.value, "origin": None})
        if not isinstance(read.text, str) or not read.text.strip() or not isinstance(read.extra, dict):
            return None
        kind = read.kind if isinstance(read.kind, str) else None
        return make_query(read.text, read.choices, kind, None, Split.DISTILL, read.extra)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
