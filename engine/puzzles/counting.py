"""Counting: how many things of a list belong to a class."""

from __future__ import annotations

import random
import re

from engine.puzzles.base import Kind, Puzzle, Solution, Step

_CLASSES = {
    "fruit": ["apple", "pear", "plum", "grape", "lemon", "cherry", "peach", "mango"],
    "animals": ["dog", "cat", "horse", "goat", "sheep", "mouse", "tiger", "rabbit"],
    "tools": ["hammer", "saw", "drill", "wrench", "axe", "shovel", "chisel", "file"],
    "clothes": ["shirt", "coat", "sock", "glove", "scarf", "hat", "jacket", "belt"],
}
_CLASS_OF = {item: name for name, items in _CLASSES.items() for item in items}
_TEXT = re.compile(r"On the table: ([\w, ]+)\. How many of these are (\w+)\?")


def generate(rng: random.Random) -> Puzzle:
    """Five things, nought to four of them of the asked class."""
    asked = rng.choice(list(_CLASSES))
    count = rng.randint(0, 4)
    inside = rng.sample(_CLASSES[asked], count)
    outside = rng.sample([item for item, name in _CLASS_OF.items() if name != asked], 5 - count)
    items = inside + outside
    rng.shuffle(items)
    return Puzzle("counting", f"On the table: {', '.join(items)}. How many of these are {asked}?", str(count))


def _read(text: str) -> tuple[list[str], str]:
    match = _TEXT.search(text)
    if match is None or match[2] not in _CLASSES:
        raise ValueError("not a counting puzzle")
    items = match[1].split(", ")
    if any(item not in _CLASS_OF for item in items):
        raise ValueError("a thing of unknown class")
    return items, match[2]


def _solution(steps: list[Step], answer: int) -> Solution:
    return Solution(tuple(steps), str(answer), (str(answer + 1), str(abs(answer - 1)), str(answer + 2)))


def forward(text: str) -> Solution:
    """Go through the list with a running count."""
    items, asked = _read(text)
    steps, count = [], 0
    for item in items:
        if _CLASS_OF[item] == asked:
            count += 1
            steps.append(Step(f"{item.capitalize()} makes {count}.", f"{item} {count}"))
    if not count:
        steps.append(Step(f"None of {', '.join(items)} is one.", f"no {asked} in {', '.join(items)}"))
    steps.append(Step(f"The {asked} counted come to {count}.", f"{asked} {count}"))
    return _solution(steps, count)


def eliminate(text: str) -> Solution:
    """Take away what does not belong."""
    items, asked = _read(text)
    out = [item for item in items if _CLASS_OF[item] != asked]
    left = len(items) - len(out)
    listed = ", ".join(out)
    return _solution(
        [
            Step(f"These are not {asked}: {listed}.", f"out {listed}"),
            Step(
                f"That takes {len(out)} of the {len(items)} things away.",
                f"{len(out)} of {len(items)} out",
                needed=False,
            ),
            Step(f"{len(items)} - {len(out)} = {left}.", f"{len(items)} - {len(out)} = {left}"),
        ],
        left,
    )


def tabulate(text: str) -> Solution:
    """Write yes or no beside each thing, then count the yeses."""
    items, asked = _read(text)
    marks = [(item, "yes" if _CLASS_OF[item] == asked else "no") for item in items]
    count = sum(mark == "yes" for _, mark in marks)
    table = ", ".join(f"{item} {mark}" for item, mark in marks)
    yeses, noes = (", ".join(item for item, mark in marks if mark == said) for said in ("yes", "no"))
    return _solution(
        [
            Step(f"Is each one {asked}? {table}.", f"yes {yeses}" if count else f"no {noes}"),
            Step(f"The table has {count} yes.", f"{count} yes"),
        ],
        count,
    )


KIND = Kind(
    "counting",
    generate,
    lambda text: bool(_TEXT.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
