"""Rewritten rationales and training rows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RationaleOrigin(StrEnum):
    """Who wrote a version of a rationale."""

    COMPRESSED = "compressed"
    EDITED = "edited"
    RESTORED = "restored"


@dataclass(frozen=True)
class StageRow:
    """One training example: the query, what the student must write, and where it came from.

    `part` names the task that it belongs to, where a loss weighs several; "" is that of the label.
    """

    id: str
    query_id: str
    prompt: tuple[tuple[str, str], ...]
    completion: str
    sample_id: str | None = None
    flags: tuple[str, ...] = ()
    part: str = ""
