"""What can be told about a rationale without asking anybody: does it reason at all, and is what it says right?"""

from __future__ import annotations

import unicodedata

import regex

from engine.arithmetic import find_wrong_equations
from engine.ports import Task
from engine.tasks.reply import find_answer_line
from engine.values import Query

_WORD = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[^\W_]+")
_EMPTY_WORDS = frozenset(
    [
        *(
            "a",
            "an",
            "and",
            "answer",
            "be",
            "choice",
            "final",
            "correct",
            "hence",
            "is",
            "it",
            "label",
            "must",
            "option",
        ),
        *("right", "so", "the", "then", "therefore", "this", "thus"),
    ]
)
_CALCULATION = regex.compile(r"\d\s*[-+*/×÷−]\s*\d")
_LEAST_WORDS = 2
_LOOP_TIMES = 4
_LOOP_WORDS = 12
_LONGEST_SPAN = 200
_MOST_WORDS = 20_000


def find_flaw(task: Task, query: Query, label: str, rationale: str, original: str) -> str | None:
    """Why a rewritten rationale can't stand for the original; None if nothing speaks against it.

    It must not be longer than the original (in characters, white space apart), hold something beside the answer, not
    repeat itself, name no other answer, and its arithmetic must hold where it is spelled out.
    """
    if len(" ".join(rationale.split())) > len(" ".join(original.split())):
        return "longer than the original"
    if not holds_reasoning(query, label, rationale):
        return "holds no reasoning"
    if repeats_itself(rationale):
        return "repeats itself"
    wrong = find_wrong_equations(rationale)
    if wrong:
        return f"wrong arithmetic: {wrong[0]}"
    marked = find_answer_line(rationale)
    said = task.normalise(query, marked[1]) if marked else None
    if said is not None and said != task.normalise(query, label):
        return "names another answer"
    return None


def holds_reasoning(query: Query, label: str, rationale: str) -> bool:
    """Whether a calculation stands there, or two different words without the answer and the words around an answer."""
    if _CALCULATION.search(rationale):
        return True
    named = [label, *(choice.text for choice in query.choices if choice.letter.casefold() == label.casefold())]
    dropped = _EMPTY_WORDS.union(*(_words(text) for text in named))
    return len({word for word in _words(rationale) if word not in dropped}) >= _LEAST_WORDS


def repeats_itself(text: str) -> bool:
    """Whether the same words stand four times in a row, twelve words at least: a loop, where an enumeration is none."""
    words = text.casefold().split()[:_MOST_WORDS]
    for span in range(1, min(_LONGEST_SPAN, len(words) // _LOOP_TIMES) + 1):
        same, least = 0, max(span * (_LOOP_TIMES - 1), _LOOP_WORDS - span)
        for one, next_one in zip(words, words[span:], strict=False):
            same = same + 1 if one == next_one else 0
            if same >= least:
                return True
    return False


def _words(text: str) -> list[str]:
    words: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return words
