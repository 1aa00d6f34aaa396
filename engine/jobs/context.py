"""What whoever does a job is given beside its payload."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.jobs.events import EVENTS_FILE, read_events
from engine.ports import EventSink
from engine.values import Event


@dataclass(frozen=True)
class JobContext:
    """The job's folder, its journal to write to, and whether it is to stop, asked between two pieces of work."""

    folder: Path
    sink: EventSink
    stop: Callable[[], bool]

    @property
    def journal(self) -> list[Event]:
        """What the journal holds, of earlier starts too."""
        return read_events(self.folder / EVENTS_FILE).events


def is_first() -> bool:
    """Whether this is the process that journals; the others of a distributed run only train."""
    return os.environ.get("RANK", "0") == "0"
