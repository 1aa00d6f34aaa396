"""Small sums: what someone holds after two changes."""

from __future__ import annotations

import random
import re

from engine.puzzles.base import NAMES, Kind, Puzzle, Solution, Step

_THINGS = ("pens", "coins", "shells", "cards", "stamps", "marbles", "keys", "cups", "nuts", "beads", "caps", "buttons")
_TEXT = re.compile(r"(\w+) has (\d+) (\w+)\. \w+ gets (\d+) more and gives away (\d+)\. How many \w+ are left\?")


def generate(rng: random.Random) -> Puzzle:
    """A start of 2-9, a gain of 1-5 and a loss of 1-3."""
    name, thing = rng.choice(NAMES), rng.choice(_THINGS)
    start, gain, loss = rng.randint(2, 9), rng.randint(1, 5), rng.randint(1, 3)
    text = f"{name} has {start} {thing}. {name} gets {gain} more and gives away {loss}. How many {thing} are left?"
    return Puzzle("sums", text, str(start + gain - loss))


def _read(text: str) -> tuple[str, int, int, int, str]:
    match = _TEXT.search(text)
    if match is None:
        raise ValueError("not a small sum")
    return match[1], int(match[2]), int(match[4]), int(match[5]), match[3]


def _solution(steps: list[Step], answer: int) -> Solution:
    return Solution(tuple(steps), str(answer), (str(answer + 1), str(abs(answer - 1)), str(answer + 2)))


def forward(text: str) -> Solution:
    """Follow the changes in the order they happen."""
    name, start, gain, loss, thing = _read(text)
    total = start + gain
    left = total - loss
    return _solution(
        [
            Step(f"{name} starts with {start} {thing}.", f"start {start}", needed=False),
            Step(f"After getting {gain} there are {start} + {gain} = {total}.", f"{start} + {gain} = {total}"),
            Step(f"After giving away {loss} there are {total} - {loss} = {left}.", f"{total} - {loss} = {left}"),
        ],
        left,
    )


def eliminate(text: str) -> Solution:
    """Cancel the loss against the gain before touching the start."""
    _, start, gain, loss, thing = _read(text)
    change = gain - loss
    word = "gain" if change >= 0 else "loss"
    sign = "+" if change >= 0 else "-"
    left = start + change
    return _solution(
        [
            Step(
                f"A gain of {gain} and a loss of {loss} cancel to a {word} of {abs(change)}.",
                f"{gain} - {loss} = {change}",
            ),
            Step(f"The {start} {thing} at the start are still to be counted.", f"start {start}", needed=False),
            Step(f"{start} {sign} {abs(change)} = {left} {thing}.", f"{start} {sign} {abs(change)} = {left}"),
        ],
        left,
    )


def tabulate(text: str) -> Solution:
    """Count up and down one at a time."""
    _, start, gain, loss, _ = _read(text)
    top, left = start + gain, start + gain - loss
    up = ", ".join(str(n) for n in range(start + 1, top + 1))
    down = ", ".join(str(n) for n in range(top - 1, left - 1, -1))
    return _solution(
        [
            Step(f"Count {gain} up from {start}: {up}.", f"{start} up {up}"),
            Step(f"Count {loss} down from {top}: {down}.", f"{top} down {down}"),
            Step(f"The count ends at {left}.", f"ends {left}"),
        ],
        left,
    )


KIND = Kind(
    "sums",
    generate,
    lambda text: bool(_TEXT.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
