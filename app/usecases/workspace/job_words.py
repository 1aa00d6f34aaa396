"""Jobs in words: what each kind does and on which page it stands, and what became of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.values import JobStatus


class JobKind(NamedTuple):
    """What a kind of job is called, and the name and path of the page that it belongs to ("": none)."""

    title: str
    page: str = ""
    path: str = ""


_LABEL, _COMPRESS, _TRAIN = ("Label", "/label"), ("Compress", "/compress"), ("Train", "/train")
_EXPORTS = ("Exports", "/exports")
KINDS = {
    "label": JobKind("Labelling", *_LABEL),
    "batch": JobKind("Labelling (batch API)", *_LABEL),
    "ray-label": JobKind("Labelling (Ray)", *_LABEL),
    "local": JobKind("Labelling (local model)", *_LABEL),
    "ray": JobKind("Labelling (Ray worker)", *_LABEL),
    "grade": JobKind("Grading", *_LABEL),
    "embed": JobKind("Embedding", "Select", "/select"),
    "run-labels": JobKind("Running code", "Select", "/select"),
    "near-duplicates": JobKind("Near-duplicate search", "Data", "/data"),
    "compress": JobKind("Compression", *_COMPRESS),
    "again": JobKind("Compression of one rationale", *_COMPRESS),
    "rewrite": JobKind("Compression (worker)", *_COMPRESS),
    "student": JobKind("Training", *_TRAIN),
    "forecast": JobKind("Forecast", *_TRAIN),
    "score": JobKind("Scoring", "Evaluate", "/evaluate"),
    "second-draws": JobKind("Second draws", "Save", "/save"),
    "study": JobKind("Study", "Study", "/study"),
    "probe": JobKind("Connection test", "Teachers", "/teachers"),
    "play": JobKind("Playground", "Playground", "/playground"),
    "export": JobKind("Export", *_EXPORTS),
    "merge": JobKind("Export", *_EXPORTS),
    "push": JobKind("Upload to the Hub", *_EXPORTS),
}
_STATUSES: dict[JobStatus, tuple[str, Literal["", "good", "warn", "bad", "accent"]]] = {
    JobStatus.QUEUED: ("Queued", ""),
    JobStatus.RUNNING: ("Running", "accent"),
    JobStatus.FINISHED: ("Finished", "good"),
    JobStatus.FAILED: ("Failed", "bad"),
    JobStatus.CANCELLED: ("Cancelled", ""),
    JobStatus.INTERRUPTED: ("Interrupted", "warn"),
    JobStatus.NEEDS_KEY: ("Needs a key", "warn"),
    JobStatus.CAPPED: ("Stopped at its cap", "warn"),
    JobStatus.QUARANTINED: ("Journal unreadable", "bad"),
}


def job_kind(kind: str) -> JobKind:
    """What is known of a kind; one that a later version queued goes by its own name."""
    return KINDS.get(kind, JobKind(kind.replace("-", " ").capitalize()))


def say_status(status: str) -> tuple[str, Literal["", "good", "warn", "bad", "accent"]]:
    """A status as a person says it, and how good it is."""
    return _STATUSES[JobStatus(status)]
