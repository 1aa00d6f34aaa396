"""What a backend is: where workers run, and how their journals come back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from engine.jobs.events import Scan
from engine.registry import Registry
from engine.values import JobStatus


class Outcome(NamedTuple):
    """How a worker ended."""

    status: JobStatus
    message: str


class Backend(Protocol):
    """Runs workers somewhere.

    A bundle is a job's folder: its spec, and the files that this names by paths relative to the folder. Whoever runs it
    elsewhere takes those along, and brings journal and results back. A handle is a text by which the worker is found
    again, by another process too.
    """

    @property
    def title(self) -> str:
        """Where it runs, as a person reads it."""
        ...

    @property
    def help(self) -> str:
        """One line on it."""
        ...

    def submit(self, bundle: Path, devices: int) -> str:
        """Start the worker of a bundle on so many devices; returns its handle. Started again, it goes on.

        Raises:
            TacitError: if it can't be started there.
        """
        ...

    def poll(self, bundle: Path, handle: str) -> Outcome | None:
        """How the worker ended; None as long as it works.

        Raises:
            OSError: if it can't be told now; it is asked again.
        """
        ...

    def cancel(self, bundle: Path, handle: str, at_once: bool = False) -> None:
        """Ask the worker to checkpoint and stop; `at_once`: end it with all that it started."""
        ...

    def journal(self, bundle: Path, handle: str | None, offset: int) -> Scan:
        """What it has journaled from a byte offset on; without a handle, what is known of it here."""
        ...


BACKENDS: Registry[Backend] = Registry("backends", "backend")
"""Where workers can run."""
