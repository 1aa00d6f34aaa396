"""What tasks share: the columns that most read, gold labels that are texts, completions that end in an answer line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.choices import plain_text
from engine.errors import InputError
from engine.ports import Role
from engine.values import Choice, Query, make_query

QUERY = Role(
    "query",
    "the queries",
    ("query", "question", "prompt", "problem", "instruction", "input", "text"),
    required=True,
)
GOLD = Role(
    "gold",
    "the gold labels",
    ("gold", "answerkey", "gold_label", "answer", "label", "target", "output", "response", "code"),
)
KIND = Role("kind", "the kinds that reports tell apart", ("kind", "category", "subject"))
ID = Role("id", "your own ids", ("id", "query_id", "qid", "key"))

ANSWER = "Answer: "
_ANSWER_LINE = re.compile(r"^Answer: ?", re.MULTILINE)


def read_query(
    cells: Mapping[str, Any], choices: tuple[Choice, ...] = (), extra: Mapping[str, Any] | None = None
) -> Query:
    """The query of a row by its text, kind and id, with choices and extra as the task read them.

    Raises:
        InputError: if there is no text.
    """
    value = cells.get(QUERY.name)
    if isinstance(value, (dict, list, bool)):
        raise InputError("the query is a list, an object, or true or false, and no text")
    text = "" if value is None else plain_text(value)
    if not text:
        raise InputError("empty query")
    return make_query(text, choices, _read_name(cells, KIND), _read_name(cells, ID), extra=extra)


def _read_name(cells: Mapping[str, Any], role: Role) -> str | None:
    return plain_text(cells[role.name]) if role.name in cells else None


def read_label(cells: Mapping[str, Any]) -> str | None:
    """The gold label of a row as text; None if it has none.

    Raises:
        InputError: if it is a list or an object.
    """
    value = cells.get(GOLD.name)
    if value is None or not plain_text(value):
        return None
    if isinstance(value, (dict, list)):
        raise InputError("the gold label is a list or an object")
    return plain_text(value)


class TextTask:
    """A task whose queries and labels are texts. A task of another kind overrides what it has otherwise."""

    roles: tuple[Role, ...] = (QUERY, GOLD, KIND, ID)
    stop = "\n"

    def read_row(self, cells: Mapping[str, Any]) -> Query:
        """The query by its text, kind and id."""
        return read_query(cells)

    def read_gold(self, query: Query, cells: Mapping[str, Any]) -> str | None:
        """The text in the column of gold labels."""
        return read_label(cells)

    def show_gold(self, gold: str) -> str:
        """The label as it is."""
        return gold

    def complete(self, rationale: str, label: str) -> str:
        """The rationale, and the label on an answer line."""
        head = rationale.strip()
        return f"{head}\n{ANSWER}{label}" if head else f"{ANSWER}{label}"

    def split_completion(self, text: str) -> tuple[str, str]:
        """What stands before the last answer line, and what on and behind it; an answer within a line is told too."""
        lines = list(_ANSWER_LINE.finditer(text))
        if lines:
            return text[: lines[-1].start()].strip(), text[lines[-1].end() :]
        head, separator, label = text.rpartition(ANSWER.rstrip())
        return (head.strip(), label.strip()) if separator else (text.strip(), "")
