"""What every kind of generated puzzle shares: the values that generators and solvers return."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

METHODS = ("forward", "eliminate", "tabulate")
"""The three ways of reasoning that each kind can be solved by."""


@dataclass(frozen=True)
class Step:
    """One step of a solution: the sentence a careful writer says, and the few words that carry it.

    The short forms of all steps lead to the answer by themselves: every operand stands in them. A step that is not
    `needed` only repeats what the query says or what follows at once.
    """

    full: str
    short: str
    needed: bool = True


@dataclass(frozen=True)
class Solution:
    """A worked answer. The last step states the answer; `distractors` are wrong answers that look plausible."""

    steps: tuple[Step, ...]
    answer: str
    distractors: tuple[str, ...]


@dataclass(frozen=True)
class Puzzle:
    """A query with the answer that its generator built it around (no solver is asked)."""

    kind: str
    text: str
    answer: str


@dataclass(frozen=True)
class Kind:
    """One kind of puzzle.

    `generate` draws a puzzle; `recognises` tells whether a text is of this kind; `solvers` maps each of `METHODS` to a
    function that solves from the text alone and raises `ValueError` on a text of another kind.
    """

    name: str
    generate: Callable[[random.Random], Puzzle]
    recognises: Callable[[str], bool]
    solvers: Mapping[str, Callable[[str], Solution]]


NAMES = (
    *("Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Jan", "Kira", "Leo"),
    *("Mia", "Nils", "Olga", "Pia", "Quin", "Rosa", "Sam", "Tara", "Uma", "Vic", "Wes", "Zoe"),
)
