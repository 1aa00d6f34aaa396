"""Sequences: the next number of a row that grows or falls by the same step."""

from __future__ import annotations

import random
import re
from itertools import pairwise

from engine.puzzles.base import Kind, Puzzle, Solution, Step

_TEXT = re.compile(r"The row begins ([\d, ]+)\. Which number comes next\?")


def generate(rng: random.Random) -> Puzzle:
    """Four numbers from a start of 1-40 in steps of 1-6, up or down."""
    step = rng.randint(1, 6) * rng.choice((1, 1, -1))
    start = rng.randint(1, 40) + (30 if step < 0 else 0)
    row = [start + step * n for n in range(5)]
    text = f"The row begins {', '.join(map(str, row[:4]))}. Which number comes next?"
    return Puzzle("sequences", text, str(row[4]))


def _read(text: str) -> list[int]:
    match = _TEXT.search(text)
    if match is None:
        raise ValueError("not a sequence")
    row = [int(part) for part in match[1].split(", ")]
    if len({b - a for a, b in pairwise(row)}) != 1:
        raise ValueError("the steps differ")
    return row


def _solution(steps: list[Step], answer: int) -> Solution:
    return Solution(tuple(steps), str(answer), (str(answer + 1), str(answer - 1), str(answer + 2)))


def forward(text: str) -> Solution:
    """Find the step between neighbours and add it once more."""
    row = _read(text)
    step = row[1] - row[0]
    sign, size, end = ("+" if step > 0 else "-"), abs(step), row[-1] + step
    return _solution(
        [
            Step(f"From {row[0]} to {row[1]} is {sign} {size}.", f"{row[0]} to {row[1]} {sign} {size}"),
            Step(f"From {row[1]} to {row[2]} is {sign} {size} again.", f"again {sign} {size}", needed=False),
            Step(f"So {row[-1]} {sign} {size} = {end}.", f"{row[-1]} {sign} {size} = {end}"),
        ],
        end,
    )


def eliminate(text: str) -> Solution:
    """Use the whole span of the row instead of one step."""
    row = _read(text)
    span, step = abs(row[-1] - row[0]), row[1] - row[0]
    sign, end = ("+" if step > 0 else "-"), row[-1] + step
    return _solution(
        [
            Step(f"From {row[0]} to {row[-1]} the row moves {span} in 3 steps.", f"{row[0]} to {row[-1]} {span}"),
            Step(f"One step is {span} / 3 = {abs(step)}.", f"{span} / 3 = {abs(step)}"),
            Step(
                f"The last number is {row[-1]}, so next is {row[-1]} {sign} {abs(step)} = {end}.",
                f"{row[-1]} {sign} {abs(step)} = {end}",
            ),
        ],
        end,
    )


def tabulate(text: str) -> Solution:
    """Number the places and fill the fifth."""
    row = _read(text)
    step = row[1] - row[0]
    sign, size, end = ("+" if step > 0 else "-"), abs(step), row[-1] + step
    table = ", ".join(f"place {n} {value}" for n, value in enumerate(row, 1))
    return _solution(
        [
            Step(f"The table reads {table}.", f"place 4 {row[-1]}", needed=False),
            Step(f"Each place changes by {sign} {size}.", f"{row[0]} {row[1]} {sign} {size}"),
            Step(f"Place 5 is {row[-1]} {sign} {size} = {end}.", f"{row[-1]} {sign} {size} = {end}"),
        ],
        end,
    )


KIND = Kind(
    "sequences",
    generate,
    lambda text: bool(_TEXT.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
