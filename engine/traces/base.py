"""What a trace is, and what a format of traces is: one file a format says how its rows are told apart and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.registry import Registry
from engine.teachers.recorded import UNCOUNTED
from engine.values import Usage

Row = Mapping[str, Any]
"""One row of a file as it was read; of a table without types every value is a text."""


@dataclass(frozen=True)
class Turn:
    """One message of a conversation.

    `thought` is reasoning that stands apart from what is said, `calls` are the tools that it calls, as text, and
    `media` the kinds of parts that no text can stand for, as "image".
    """

    role: str
    text: str
    thought: str = ""
    calls: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    refusal: str = ""


@dataclass(frozen=True)
class Trace:
    """One request to a model and what came back.

    Attributes:
        turns: what was asked, system prompts among them, in order.
        reply: what came back; None where nothing was recorded.
        model: who answered; "" where it is not told.
        usage: tokens as they were billed.
        cost: US dollars that were billed, where the trace states them.
        latency_s: seconds that the reply took.
        finish: why the reply ended; "length" where it was cut off.
        gold: the right answer, where the file states one.
        key: the trace's own id.
        others: how many further replies to the same request the trace holds.
    """

    turns: tuple[Turn, ...]
    reply: Turn | None = None
    model: str = ""
    usage: Usage = UNCOUNTED
    cost: Decimal | None = None
    latency_s: float | None = None
    finish: str = "stop"
    gold: str | None = None
    key: str | None = None
    others: int = 0


@dataclass(frozen=True)
class Joining:
    """Of a format whose requests and replies lie in different rows, or files: how they belong together.

    `key` is what both have in common (None: the row belongs to nothing), `asks` whether a row is a request. A reply's
    row is read with the fields of its request beneath its own.
    """

    key: Callable[[Row], str | None]
    asks: Callable[[Row], bool]


def one_part(row: Row) -> Iterator[Row]:
    """A row as it is."""
    yield row


@dataclass(frozen=True)
class TraceFormat:
    """A format of traces.

    Attributes:
        title: what it is called, as a person reads it.
        help: one line on it.
        recognise: how much some rows look like it, from 0 to 1; the format that says most reads the file. One that
            takes nearly anything says at most 1/2.
        read: a row, or part of one, as a trace; None where it is none and nothing is wrong with it, as a span that
            called no model. Raises InputError where it can't be read.
        parts: the parts of a row that are read one by one.
        joins: where a request and its reply are rows of their own.
    """

    title: str
    help: str
    recognise: Callable[[Sequence[Row]], float]
    read: Callable[[Row], Trace | None]
    parts: Callable[[Row], Iterator[Row]] = one_part
    joins: Joining | None = None


FORMATS: Registry[TraceFormat] = Registry("traces", "format of traces")


def share_of(rows: Sequence[Row], fits: Callable[[Row], bool]) -> float:
    """The share of some rows that fit."""
    return sum(map(fits, rows)) / len(rows) if rows else 0.0
