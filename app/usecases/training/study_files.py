"""Files of studies: grids as people write them, grids that a workspace keeps, and records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.config import read_config
from engine.errors import InputError, TacitError
from engine.lines import write_atomically
from engine.records.whole import read_values
from engine.study import FINISHED, Grid, StudyRecord, list_cells, read_grid

GRID = "grid.json"
"""Beside a study's records in the workspace: what it compares."""
_MOST_GRID, _MOST_RECORD = 1_000_000, 50_000_000
"""Bytes of a file that is handed in."""


def keep_grid(folder: Path, grid: Grid) -> None:
    """Write a grid beside its records."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / GRID, grid.model_dump(mode="json"))


def list_grids(folder: Path) -> list[Grid]:
    """The grids that a workspace keeps, the last changed first; a file that is none is left out."""
    grids = []
    for file in sorted(folder.glob(f"*/{GRID}"), key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            grids.append(read_config(Grid, json.loads(file.read_text("utf-8"))))
        except (OSError, ValueError, TacitError):
            continue
    return grids


def read_grid_file(file: Path) -> Grid:
    """A grid from a TOML file, which is parsed in a process of its own.

    Raises:
        InputError: if there is no such file, it is too large, or it is no TOML.
        ConfigError: one line a wrong setting.
    """
    try:
        (data,) = read_values([file], "TOML", _MOST_GRID)
    except InputError as error:
        raise InputError(f"{error}. Nothing was started.") from error
    return read_grid(data)


def write_grid_text(grid: Grid) -> str:
    """A grid as people write it: TOML that `read_grid_file` reads back as the same grid."""
    study = {"name": grid.name, "project": grid.project, "seeds": list(grid.seeds), "contrast": list(grid.contrast)}
    lines = ["[study]", *(f"{name} = {_toml(value)}" for name, value in study.items())]
    if grid.order:
        lines += ["", "[study.order]", *(f"{name} = {_toml(value)}" for name, value in _given(grid.order))]
    for part in ("budget", "puzzles"):
        settings = getattr(grid, part)
        if settings is not None:
            lines += [
                "",
                f"[study.{part}]",
                *(f"{name} = {_toml(value)}" for name, value in settings.model_dump().items()),
            ]
    for arm in grid.arms:
        lines += ["", "[[arms]]", f"name = {_toml(arm.name)}", f"plan = {_toml(arm.plan)}"]
        lines += [f"system = {_toml(arm.system)}"] if arm.system else []
        lines += [f"order = {_toml(arm.order)}"] if arm.order else []
    return "\n".join(lines) + "\n"


def _given(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Settings without those that say nothing, which TOML has no word for."""
    return [(name, value) for name, value in settings.items() if value is not None]


def _toml(value: Any) -> str:
    """A value of a grid in TOML, whose texts are written as those of JSON are."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in _given(value)) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def read_record(file: Path) -> StudyRecord:
    """One record that this program wrote.

    Raises:
        InputError: if the file is none.
    """
    try:
        return StudyRecord.from_dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, RecursionError, InputError) as error:
        raise _no_record(file) from error


def read_records(folder: Path) -> list[StudyRecord]:
    """All records of a folder that this program keeps, by name.

    Raises:
        InputError: if a file is none.
    """
    return [read_record(file) for file in _list_records(folder)]


def read_given_records(folder: Path) -> list[StudyRecord]:
    """As `read_records`, of a folder that others may have made: each is parsed in a process of its own."""
    return [record for _, record in _read_given(_list_records(folder))]


def _list_records(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.json")) if file.name != GRID]


def _read_given(files: Sequence[Path]) -> Iterator[tuple[Path, StudyRecord]]:
    for file in files:
        try:
            (data,) = read_values([file], "JSON", _MOST_RECORD)
        except InputError as error:
            raise InputError(f"{file.name} is no record of a study: {error}. Nothing was taken.") from error
        try:
            yield file, StudyRecord.from_dict(data)
        except InputError as error:
            raise _no_record(file) from error


def _no_record(file: Path) -> InputError:
    return InputError(f"{file.name} is no record of a study; take it out of the folder, or write it again")


def take_in_records(folder: Path, grid: Grid, files: Sequence[Path]) -> int:
    """Put records of another machine into a study's folder, all or none; how many are new.

    A record that is there already, finished and of the grid's settings, stays.

    Raises:
        InputError: if a file is no record, too large, or not of this grid.
    """
    records, asked = [], {(cell.arm.name, cell.seed): cell.settings for cell in list_cells(grid)}
    for file, record in _read_given(files):
        if record.study != grid.name or record.settings != asked.get((record.arm, record.seed)):
            raise InputError(
                f"{file.name} is of the study {record.study!r}, arm {record.arm!r}, seed {record.seed}, with "
                f"settings that {grid.name!r} does not have. Nothing was taken."
            )
        records.append(record)
    folder.mkdir(parents=True, exist_ok=True)
    new = 0
    for record in records:
        file = folder / f"{record.arm}-{record.seed}.json"
        there = read_record(file) if file.is_file() else None
        if there is None or there.status != FINISHED or there.settings != record.settings:
            write_atomically(file, record.to_dict())
            new += 1
    return new
