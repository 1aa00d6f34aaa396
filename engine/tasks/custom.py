"""Custom tasks: free text, compared exactly after normalising or by a regular expression."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

import regex

from engine.tasks.base import TextTask, read_label
from engine.tasks.registry import TASKS
from engine.tasks.reply import read_reply_as
from engine.tasks.solutions import find_result
from engine.tasks.statements import Statement
from engine.values import ParsedReply, Query, make_query

NAME = "custom"
_PATTERN_SECONDS = 0.2
_BARE_WORDS = 5
_DENIAL = re.compile(r"(?:not|wrong|incorrect)\b", re.IGNORECASE)


class CustomTask(TextTask):
    """Short free-text answers."""

    name = NAME
    factors = ("reasoning", "answer", "clarity")

    def __init__(self, match: Literal["exact", "regex"] = "exact") -> None:
        """`match` decides what a gold label is: a text, or a pattern that must match the whole label."""
        self.match = match
        exact, pattern = "free text, compared as it is", "free text, by a regular expression"
        self.title = exact if match == "exact" else pattern

    def read_gold(self, query: Query, cells: Mapping[str, Any]) -> str | None:
        """The text in the column of gold labels; of a worked solution what it ends in."""
        gold = read_label(cells)
        return None if gold is None else find_result(gold)

    def read_typed(self, text: str) -> Query:
        """The query as it is typed."""
        return make_query(text)

    def render(self, query: Query) -> str:
        """The query as it is."""
        return query.text

    def parse(self, query: Query, text: str) -> ParsedReply | None:
        """Read a teacher's reply; None if it holds no label."""
        reply = read_reply_as(text, _read_statement, query.text)
        if reply is None or self.normalise(query, reply.label) is None:
            return None
        return ParsedReply(reply.rationale, reply.label, reply.scores)

    def read_answer(self, query: Query, text: str) -> str | None:
        """What the last answer line gives, or the whole text if it is one line of at most five words."""
        stated = read_reply_as(text, _read_statement, query.text)
        if stated is not None:
            return stated.label
        bare = text.strip()
        return bare if bare and "\n" not in bare and len(bare.split()) <= _BARE_WORDS else None

    def normalise(self, query: Query, label: str) -> str | None:
        """Unicode-normalised, folded, single spaces, without a final full stop; None if nothing is left."""
        text = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        return text.rstrip(" .") or None

    def verify(self, query: Query, label: str, gold: str) -> bool:
        """Equality after normalising, or a full match of the pattern (False if it takes over 0.2 s)."""
        mine = self.normalise(query, label)
        if mine is None:
            return False
        if self.match == "exact":
            return mine == self.normalise(query, gold)
        try:
            match = regex.fullmatch(gold, label.strip(), flags=regex.IGNORECASE, timeout=_PATTERN_SECONDS)
        except (regex.error, TimeoutError):
            return False
        return match is not None


def _read_statement(statement: Statement) -> str | None:
    """What is stated, unless it is denied ("the answer is wrong")."""
    return None if _DENIAL.match(statement.label) else statement.label


TASKS.add(NAME, CustomTask())
TASKS.add("custom-regex", CustomTask(match="regex"))
