"""Rationales on their way to a worker that rewrites them, and what comes back of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from engine.compression.base import CompressWork
from engine.datasets.rows import Example
from engine.values import Event, Generation, ParsedReply, query_from_json

REWRITTEN = "rewritten"
"""The event of a rationale that a worker is done with: sample_id; rationale and label, or the problem with it."""
Made = ParsedReply | str


def as_line(work: CompressWork) -> dict[str, Any]:
    """A rationale as a line of the worker's file: without teachers, since no worker asks them."""
    student = asdict(work.student) if work.student else None
    return {"example": asdict(work.example), "student": student, "words": work.words}


def from_line(line: Mapping[str, Any]) -> CompressWork:
    """The inverse of `as_line`."""
    example = line["example"]
    query, flags = query_from_json(example["query"]), tuple(example["flags"])
    student = Generation(**line["student"]) if line["student"] else None
    return CompressWork(Example(**{**example, "query": query, "flags": flags}), None, student, words=line["words"])


def as_event(work: CompressWork, made: Made) -> dict[str, Any]:
    """The data of the event that tells what became of a rationale."""
    outcome = {"problem": made} if isinstance(made, str) else {"rationale": made.rationale, "label": made.label}
    return {"sample_id": work.example.sample_id, **outcome}


def take_back(work: Sequence[CompressWork], events: Iterable[Event]) -> list[CompressWork]:
    """The same work with what a worker journaled of it; what it did not come to is left as it is."""
    made = {event.data["sample_id"]: _read(event.data) for event in events if event.type == REWRITTEN}
    return [replace(item, prepared=made.get(str(item.example.sample_id), item.prepared)) for item in work]


def _read(data: Mapping[str, Any]) -> Made:
    if "problem" in data:
        return str(data["problem"])
    return ParsedReply(str(data.get("rationale", "")), str(data.get("label", "")))
