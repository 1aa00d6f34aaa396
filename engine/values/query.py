"""Queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.values.ids import hash_id


class Split(StrEnum):
    """What a query is for: making the distillation set, or scoring only."""

    DISTILL = "distill"
    HELDOUT = "heldout"


@dataclass(frozen=True)
class Choice:
    """One lettered option of a multiple-choice query."""

    letter: str
    text: str


@dataclass(frozen=True)
class Query:
    """An unlabeled query x_i. There is deliberately no field for a gold label.

    `extra` is what its task needs beside text and choices, by name, in JSON's values. `origin` is the question that it
    paraphrases, by the id of a query that asks just this; both are in one split.
    """

    id: str
    text: str
    choices: tuple[Choice, ...] = ()
    kind: str | None = None
    key: str | None = None
    split: Split = Split.DISTILL
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    origin: str | None = None

    @property
    def family(self) -> str:
        """What is the same for a question and all that paraphrase it: the id of a query that asks just it."""
        return self.origin or self.id


def make_query(
    text: str,
    choices: tuple[Choice, ...] = (),
    kind: str | None = None,
    key: str | None = None,
    split: Split = Split.DISTILL,
    extra: Mapping[str, Any] | None = None,
) -> Query:
    """Build a query whose id is the hash of what a teacher would see; `key` is the user's own id."""
    seen = [text, [(choice.letter, choice.text) for choice in choices], *([extra] if extra else [])]
    return Query(hash_id("query", *seen), text, choices, kind, key, split, extra or {})


def query_from_json(data: Mapping[str, Any]) -> Query:
    """A query from what `dataclasses.asdict` made of it."""
    choices = tuple(Choice(**choice) for choice in data["choices"])
    split, extra = Split(data["split"]), data.get("extra") or {}
    return Query(data["id"], data["text"], choices, data["kind"], data["key"], split, extra, data.get("origin"))
