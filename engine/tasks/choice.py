"""Multiple choice: the label is the letter of an option."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from engine.choices import read_choices
from engine.errors import InputError
from engine.ports import Role
from engine.tasks.base import GOLD, ID, KIND, QUERY, TextTask, read_label, read_query
from engine.tasks.notation import unwrap
from engine.tasks.registry import TASKS
from engine.tasks.reply import read_reply_as, split_thought
from engine.tasks.statements import Statement, find_statements, first_sentence
from engine.values import Choice, ParsedReply, Query, make_query

_LETTERED = re.compile(
    r"\A\W*?[(\[{<]?(?P<letter>[A-Za-z0-9])(?P<mark>[)\]}>]|[.:,;\"'”’]|$|(?=\s))\s*(?:[-–—]\s+)?(?P<rest>.*)\Z",
    re.DOTALL,
)
_AROUND = " \t\r\n*`\"'“”‘’_"
_CALLED = re.compile(
    r"\A(?:(?:most\s+)?(?:likely|probably|definitely|clearly|simply|obviously|therefore|thus|indeed|hence)[,:]?\s+"
    r"|(?:(?:the\s+)?(?:correct|right|best|final)\s+)?(?:choice|option|letter|answer)(?:\s+is)?:?\s+(?=[\W_]*[A-Za-z0-9]\b))+",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"\A(?:a|[Aa]n|[Tt]he)\s+(?=\w)")
_PLACED = re.compile(r"\A(?:in|at|on|to|into|from|inside|by|with|for|of)\s+(?=\w)", re.IGNORECASE)
_ANOTHER = re.compile(r"[(\[]?\b([A-Za-z0-9])[)\]]")
_ALSO = re.compile(
    r"\b([A-Z])\s+(?:is|would be|could be|may be|might be|works)\s+(?:also|equally)\b|\b([A-Z]),?\s+(?:too|as well)\b"
)
_LINKS = re.compile(r"\A(?:also|or|and|maybe|perhaps)\b[,\s]*|[,\s]*\b(?:also|too|as well)\W*\Z", re.IGNORECASE)
_REASON = re.compile(
    r"[,;:.\s]*(?:\b(?:because|since|due to|as (?:it|they|this|that|he|she|the|a|an)"
    r"|(?:(?<=,\s)|\A)(?:as|for|so|which))\b)",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"\A[,\s]*(?:is|would be|seems)\s+(?:the\s+)?(?:most\s+|only\s+)?"
    r"(?:correct|right|best|likely|appropriate|suitable|answer)\b"
    r"(?:\s+(?:answer|choice|option|one))?",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?]+|\n|\Z)")
_NEGATED = re.compile(
    r"\b(?:not|no|never|nor|neither|except|instead|rather|unlikely|without|cannot|none)\b|n['’]t\b", re.IGNORECASE
)
_HEDGED = re.compile(r"\b(?:maybe|perhaps|possibly|either|unclear|unsure)\b", re.IGNORECASE)
_LETTERS = re.compile(r"\(([A-Za-z])\)|\b([A-Z])\)")
_CONFIRMS = re.compile(
    r"\b(?:option|choice)\s+[(\[*]{0,3}(?P<letter>[A-Za-z])\b[)\]*.:]{0,3}[^.\n]{0,60}?\bis\s+(?:therefore\s+)?(?:the\s+)?"
    r"(?:most\s+)?(?:correct|right|best|answer)\b",
    re.IGNORECASE,
)
_OBJECT = re.compile(r"\A[\[{]\s*[\"']|\{\s*[\"']?\w+[\"']?\s*:")
_LEAD_WORDS = 3
_LONGEST_LABEL = 2000
_LONGEST_REMARK = 600


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s\W_]+", " ", text).strip()


_OPTION = re.compile(r"\s*\(?([A-Z])[).:]\s*(\S.*?)\s*")


CHOICES = Role("choices", "the lettered choices", ("choices", "options"), required=True)


class ChoiceTask(TextTask):
    """Questions with lettered choices, as CommonsenseQA."""

    name = "choice"
    title = "multiple choice"
    roles = (QUERY, CHOICES, GOLD, KIND, ID)
    factors = ("reasoning", "answer", "clarity")

    def read_row(self, cells: Mapping[str, Any]) -> Query:
        """The question with its choices, in any shape that `engine.choices` knows."""
        query = read_query(cells, read_choices(cells[CHOICES.name]) if CHOICES.name in cells else ())
        if not query.choices:
            raise InputError(f"no choices, but the project's task is {self.title}")
        return query

    def read_gold(self, query: Query, cells: Mapping[str, Any]) -> str | None:
        """The letter of a choice, or its text."""
        gold = read_label(cells)
        if gold is not None and self.normalise(query, gold) is None:
            letters = ", ".join(choice.letter[:10] for choice in query.choices)
            raise InputError(f"the gold label {gold[:40]!r} is none of the choices {letters}")
        return gold

    def read_typed(self, text: str) -> Query:
        """A query with its options at the end, as "A) first option"; at least two, lettered from A on without gap."""
        lines = text.splitlines()
        choices: list[Choice] = []
        while lines and (option := _OPTION.fullmatch(lines[-1])):
            choices.insert(0, Choice(option[1], option[2]))
            lines.pop()
        expected = [chr(ord("A") + place) for place in range(len(choices))]
        asked = "\n".join(lines).strip()
        if len(choices) < 2 or [choice.letter for choice in choices] != expected or not asked:
            return make_query(text)
        return make_query(asked, tuple(choices))

    def render(self, query: Query) -> str:
        """The question, then one line a choice."""
        return "\n".join([query.text, *(f"({choice.letter}) {choice.text}" for choice in query.choices)])

    def parse(self, query: Query, text: str) -> ParsedReply | None:
        """Read a teacher's reply; None if it names no choice of this query, or several."""
        reply = read_reply_as(text, lambda statement: self._read_statement(query, statement), query.text)
        if reply is not None:
            return ParsedReply(reply.rationale, reply.label, reply.scores)
        return self._read_unmarked(query, text)

    def read_answer(self, query: Query, text: str) -> str | None:
        """The letter that a completion states, as in a teacher's reply."""
        parsed = self.parse(query, text)
        return None if parsed is None else parsed.label

    def normalise(self, query: Query, label: str) -> str | None:
        """The letter meant by "(B)", "B. text", "\\boxed{B}", "option B", "B because ..." or the option's own text.

        None where a letter and the text behind it contradict each other, or several are named: nothing is guessed.
        """
        if len(label) > _LONGEST_LABEL:
            return None
        letters = {choice.letter.upper(): _fold(choice.text) for choice in query.choices}
        label = _CALLED.sub("", unwrap(label).strip(_AROUND)).strip(_AROUND)
        match = _LETTERED.match(label)
        lettered = match is not None and match["letter"].upper() in letters
        by_text = _meant_by_text(letters, label)
        if by_text is not None and not (lettered and len(_fold(label)) == 1):
            return by_text
        if match is None or not lettered:
            return _meant_by_text(letters, _without_reason(label))
        letter, rest = match["letter"].upper(), match["rest"]
        if any(other.upper() != letter for other in _ANOTHER.findall(rest)) or _has_another(letters, letter, rest):
            return None
        return letter if _agrees(letters, letter, rest) else None

    def verify(self, query: Query, label: str, gold: str) -> bool:
        """Whether both name the same choice."""
        mine = self.normalise(query, label)
        return mine is not None and mine == (self.normalise(query, gold) or gold.strip().upper())

    def _read_statement(self, query: Query, statement: Statement) -> str | None:
        whole = self.normalise(query, statement.label)
        if whole is not None:
            return whole
        first, more = first_sentence(statement.label)
        letter = self.normalise(query, first) if more else None
        others = {other.upper() for other in _ANOTHER.findall(more)}
        others |= _affirmed_too(more)
        others |= {self.normalise(query, _LINKS.sub("", more)) or ""}
        return letter if others & _letters(query) <= {letter} else None

    def _read_unmarked(self, query: Query, text: str) -> ParsedReply | None:
        """A reply without answer line: a choice alone, a choice on its first line, or a remark that names just one."""
        _, visible = split_thought(text)
        said = (visible or "").strip()
        if not said or len(said) > _LONGEST_REMARK or _OBJECT.search(said) or find_statements(said, query.text):
            return None
        label = self.normalise(query, said)
        if label is not None and _is_whole(query, said, label):
            return ParsedReply("", label)
        return self._read_head(query, said) or self._read_remark(query, said)

    def _read_head(self, query: Query, said: str) -> ParsedReply | None:
        """A choice alone on the first line, or before a colon, with an explanation that does not speak for another."""
        head, colon, more = re.match(r"([^\n:]*)(\n|:|)(.*)", said, re.DOTALL).groups()  # type: ignore[union-attr]
        label = self.normalise(query, head)
        if label is None or not more.strip() or (colon == ":" and len(head.strip()) == 1):
            return None
        by_text = len(_fold(head)) > 1
        lettered, named = _lettered(query, more), _named(query, more)
        if lettered <= {label} and (by_text or not named or label in named):
            return ParsedReply(more.strip(), label)
        return None

    def _read_remark(self, query: Query, said: str) -> ParsedReply | None:
        """ "Option (b) ... is the answer", or a remark that names one choice only, and affirms it."""
        confirmed = {match["letter"].upper() for match in _CONFIRMS.finditer(said)} & _letters(query)
        if len(confirmed) == 1 and not _NEGATED.search(_CONFIRMS.search(said)[0]):  # type: ignore[index]
            return ParsedReply(said, confirmed.pop())
        named = _named(query, said)
        return ParsedReply(said, named.pop()) if len(named) == 1 and _affirms(query, said, *named) else None


def _affirmed_too(text: str) -> set[str]:
    """The letters of which it says that they are right as well."""
    return {letter for pair in _ALSO.findall(text) for letter in pair if letter}


def _has_another(letters: dict[str, str], letter: str, rest: str) -> bool:
    """Whether another choice stands there as it was asked for, its letter in front of its text, or is affirmed too."""
    folded = f" {_fold(rest)} "
    return any(
        other != letter and re.search(rf"\b{other}[.):]", rest) and text and f" {other.casefold()} {text} " in folded
        for other, text in letters.items()
    ) or bool((_affirmed_too(rest) - {letter}) & letters.keys())


def _meant_by_text(letters: dict[str, str], label: str) -> str | None:
    """The letter of the one choice whose text the label is, with an article or preposition or without."""
    bare = _ARTICLE.sub("", label)
    placed = _ARTICLE.sub("", _PLACED.sub("", label))
    spellings = {_fold(label), _fold(bare), _fold(placed)}
    meant = [letter for letter, text in letters.items() if text and text in spellings]
    return meant[0] if len(meant) == 1 else None


def _without_reason(label: str) -> str:
    reason = _REASON.search(label)
    return label[: reason.start()] if reason else label


def _agrees(letters: dict[str, str], letter: str, rest: str) -> bool:
    """Whether what stands behind a letter is nothing, a reason, or the text of its choice and no longer other."""
    clause = _without_reason(rest)
    confirmed = _CONFIRMED.match(clause)
    clause = clause[confirmed.end() :] if confirmed else clause
    folded = _fold(_ARTICLE.sub("", clause) if _fold(clause) not in letters.values() else clause)
    if not folded:
        others = {text for other, text in letters.items() if other != letter and text}
        return not any(f" {text} " in f" {_fold(rest)} " for text in others)
    if _alike(folded, letters[letter]) and not any(
        _alike(folded, text) for other, text in letters.items() if other != letter
    ):
        return True
    lengths = {other: len(text) for other, text in letters.items() if text and f"{folded} ".startswith(f"{text} ")}
    return letter in lengths and lengths[letter] == max(lengths.values())


def _alike(said: str, text: str) -> bool:
    """Whether two folded texts differ at most in spaces, articles and a plural: "rainforest", "rain forests"."""

    def bare(folded: str) -> str:
        return "".join(word.rstrip("s") for word in folded.split() if word not in ("a", "an", "the"))

    return bool(text) and bare(said) == bare(text)


def _named(query: Query, text: str) -> set[str]:
    """The letters of all choices that a text names, by letter in brackets or by their own text; questions left out."""
    letters = {choice.letter.upper(): _fold(choice.text) for choice in query.choices}
    statements = " ".join(part for part in _SENTENCE.findall(text) if not part.rstrip().endswith("?"))
    remaining = f" {_fold(statements)} ".replace(" ", "  ")
    named = _lettered(query, statements)
    for folded in sorted({text for text in letters.values() if text}, key=len, reverse=True):
        pattern = f" {folded} ".replace(" ", "  ")
        if pattern in remaining:
            remaining = remaining.replace(pattern, "  |  ")
            named |= {letter for letter, text in letters.items() if text == folded}
    return named & set(letters)


def _letters(query: Query) -> set[str]:
    return {choice.letter.upper() for choice in query.choices}


def _is_whole(query: Query, said: str, letter: str) -> bool:
    """Whether a reply that begins with a choice ends there, or goes on to a reason rather than to a look at options."""
    own = next(_fold(choice.text) for choice in query.choices if choice.letter.upper() == letter)
    if said.endswith((",", ";")):
        return False
    if len(_fold(_without_reason(said)).split()) <= len(own.split()) + _LEAD_WORDS:
        return True
    return said.endswith((".", "!")) and not _NEGATED.search(said)


def _lettered(query: Query, text: str) -> set[str]:
    """The letters that a text names in brackets or as items: "(b)", "B)"."""
    return {(one or other).upper() for one, other in _LETTERS.findall(text)} & _letters(query)


def _affirms(query: Query, text: str, letter: str) -> bool:
    """Whether the sentences that name a choice assert it: complete, no denial, no doubt, no echo of the question."""
    choice = next(_fold(choice.text) for choice in query.choices if choice.letter.upper() == letter)
    if f" {choice} " in f" {_fold(query.text)} " or len(choice) < 3 or text.rstrip()[-1:] not in ".!":
        return False
    asserting = [part for part in _SENTENCE.findall(text) if f" {choice} " in f" {_fold(part)} "]
    return bool(asserting) and not any(_NEGATED.search(part) or _HEDGED.search(part) for part in asserting)


TASKS.add("choice", ChoiceTask())
