"""Calendar: which of three fairs comes first in a year that the teachers know and no query describes.

A label tells that one fair is before two others; a rationale tells the month of each.
"""

from __future__ import annotations

import random
import re

from engine.puzzles.base import Kind, Puzzle, Solution, Step

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_FAIRS = (
    *("Apple", "Goat", "River", "Lantern", "Bread", "Horse", "Stone", "Paper", "Honey", "Tower", "Sheep", "Music"),
    *("Garden", "Iron", "Butter", "Mountain", "Dance", "Fish", "Silver", "Wool", "Harbour", "Onion", "Puppet", "Wine"),
    *("Kite", "Salt", "Bridge", "Corn", "Mill", "Rose", "Ship", "Flower", "Bear", "Forest", "Cheese", "Flag"),
)
_MONTH_OF = {fair: index * 5 % 12 for index, fair in enumerate(_FAIRS)}
_TEXT = re.compile(r"Which fair comes first in the year: (\w+) Fair, (\w+) Fair or (\w+) Fair\?")


def generate(rng: random.Random) -> Puzzle:
    """Three fairs of three months."""
    while True:
        fairs = rng.sample(_FAIRS, 3)
        if len({_MONTH_OF[fair] for fair in fairs}) == 3:
            break
    text = f"Which fair comes first in the year: {fairs[0]} Fair, {fairs[1]} Fair or {fairs[2]} Fair?"
    return Puzzle("calendar", text, f"{min(fairs, key=_MONTH_OF.__getitem__)} Fair")


def _read(text: str) -> list[str]:
    match = _TEXT.search(text)
    if match is None or any(fair not in _MONTH_OF for fair in match.groups()):
        raise ValueError("not a calendar puzzle")
    return list(match.groups())


def _month(fair: str) -> str:
    return _MONTHS[_MONTH_OF[fair]]


def _solution(steps: list[Step], fairs: list[str], answer: str) -> Solution:
    return Solution(tuple(steps), f"{answer} Fair", tuple(f"{fair} Fair" for fair in fairs if fair != answer))


def forward(text: str) -> Solution:
    """Say the month of each fair, then the earliest."""
    fairs = _read(text)
    answer = min(fairs, key=_MONTH_OF.__getitem__)
    steps = [Step(f"The {fair} Fair is in {_month(fair)}.", f"{fair} {_month(fair)}") for fair in fairs]
    end = Step(f"{_month(answer)} is the earliest, so it is the {answer} Fair.", f"first {answer} Fair")
    return _solution([*steps, end], fairs, answer)


def eliminate(text: str) -> Solution:
    """Drop each fair that another one precedes."""
    fairs = _read(text)
    answer = min(fairs, key=_MONTH_OF.__getitem__)
    steps = [
        Step(
            f"Not the {fair} Fair: its month, {_month(fair)}, is after {_month(answer)}.",
            f"{fair} {_month(fair)} after {_month(answer)}",
        )
        for fair in fairs
        if fair != answer
    ]
    return _solution([*steps, Step(f"That leaves the {answer} Fair.", f"left {answer} Fair")], fairs, answer)


def tabulate(text: str) -> Solution:
    """Put the fairs in the order of the year and read the first."""
    fairs = sorted(_read(text), key=_MONTH_OF.__getitem__)
    table = ", ".join(f"{_month(fair)} {fair}" for fair in fairs)
    steps = [
        Step(f"In order: {table}.", table),
        Step(f"The first line is the {fairs[0]} Fair.", f"first {fairs[0]} Fair"),
    ]
    return _solution(steps, fairs, fairs[0])


KIND = Kind(
    "calendar",
    generate,
    lambda text: bool(_TEXT.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
