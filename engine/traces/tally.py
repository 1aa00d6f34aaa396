"""What was found in traces, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.columns import MOST_ERRORS, RowError

_ROWS = 5
_MOST_VALUES = 100_000
_MOST_SYSTEMS = 10_000
_NAMED = 12
_SHORT = 40
OTHERS = "other system prompts"
"""The kind of queries whose system prompt is one of many."""


@dataclass
class ModelTally:
    """One model's replies.

    `stated` of them say what they cost, `usd` together; `counted` say their tokens; `reasoned` hold reasoning.
    """

    replies: int = 0
    stated: int = 0
    usd: Decimal = Decimal(0)
    counted: int = 0
    reasoned: int = 0


@dataclass
class PersonalTally:
    """One kind of personal data: in how many traces, how many different values, and the first rows."""

    traces: int = 0
    values: set[int] = field(default_factory=set)
    rows: list[str] = field(default_factory=list)

    @property
    def different(self) -> int:
        """How many different values there are, as far as they were told apart."""
        return len(self.values)

    def count(self, values: set[int], row: str) -> None:
        """One more trace."""
        self.traces += 1
        if len(self.rows) < _ROWS:
            self.rows.append(row)
        if len(self.values) < _MOST_VALUES:
            self.values |= values


@dataclass
class TraceTally:
    """What was found in traces.

    Attributes:
        read: traces that were read, usable or not.
        taken: those that are taken.
        rejected: rows that give no trace, of which `errors` tell the first.
        skipped: rows that are none and nothing is wrong with, as spans that called no model.
        models: replies by model.
        systems: how many traces have each system prompt; "" where there is none.
        repeated: traces that ask what another one asked the same model; `others`: further replies within traces. The
            first reply counts.
        near: queries that differ from an earlier one in case, punctuation, numbers and spaces alone.
        tools: traces taken in which tools were called before the reply.
        media, calls, refusals: traces left out since they hold images or the like, end in a call of a tool, or in a
            refusal.
        bare: traces without a reply, whose queries are taken.
        long: replies of several lines.
        personal: personal data by kind; `flagged` traces hold any, and `dropped` of them were left out.
    """

    read: int = 0
    taken: int = 0
    rejected: int = 0
    skipped: int = 0
    errors: list[RowError] = field(default_factory=list)
    models: dict[str, ModelTally] = field(default_factory=dict)
    systems: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    others: int = 0
    near: int = 0
    tools: int = 0
    media: int = 0
    calls: int = 0
    refusals: int = 0
    bare: int = 0
    long: int = 0
    personal: dict[str, PersonalTally] = field(default_factory=dict)
    flagged: int = 0
    dropped: int = 0

    def reject(self, row: int, message: str) -> None:
        """Leave a row out."""
        self.rejected += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(RowError(row, message))

    def count_system(self, text: str) -> None:
        """One more trace with this system prompt; beyond ten thousand they are not told apart."""
        known = text in self.systems or len(self.systems) < _MOST_SYSTEMS
        name = text if known else OTHERS
        self.systems[name] = self.systems.get(name, 0) + 1


def name_systems(systems: Mapping[str, int]) -> dict[str, str]:
    """The kinds of queries by their system prompts, most frequent first: how each begins. None where there is but one.

    Beyond the twelve most frequent they are one kind.
    """
    if len(systems) < 2:
        return {}
    ordered = sorted(systems, key=lambda text: -systems[text])
    names: dict[str, str] = {}
    for text in ordered[:_NAMED]:
        name = _shorten(text)
        number = sum(other == name or other.startswith(f"{name} (") for other in names.values())
        names[text] = f"{name} ({number + 1})" if number else name
    return names | dict.fromkeys(ordered[_NAMED:], OTHERS)


def _shorten(text: str) -> str:
    if not text:
        return "no system prompt"
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[:_SHORT].rstrip()} ..."
