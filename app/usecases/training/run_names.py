"""Names and notes that people give runs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import InputError
from storage.runs import Run

NAME, NOTE = 80, 2_000
"""Characters at most."""
_NUMBERED = re.compile(r"run \d+", re.IGNORECASE)


def check_name(runs: Sequence[Run], own: Run | None, name: str, note: str) -> tuple[str, str]:
    """Name and note as they are kept, of a run among its project's (`own`: None for one that is not there yet).

    Raises:
        InputError: if one is too long, or the name is another run's, or is kept for another's number.
    """
    name, note = " ".join(name.split()), note.strip()
    if len(name) > NAME or len(note) > NOTE:
        raise InputError(f"A run's name takes at most {NAME} characters, its note {NOTE:,}. Nothing was changed.")
    if own is not None and name.casefold() == f"run {own.number}":
        return "", note
    others = {run.title.casefold() for run in runs if own is None or run.id != own.id}
    if name.casefold() in others:
        raise InputError(f"Another run is named {name} already; choose another name. Nothing was changed.")
    if _NUMBERED.fullmatch(name):
        raise InputError(f"{name} is kept for the run of that number; choose another name. Nothing was changed.")
    return name, note
