"""Categories: what follows for one member from a chain of made-up classes."""

from __future__ import annotations

import random
import re

from engine.puzzles.base import NAMES, Kind, Puzzle, Solution, Step

_CLASSES = (
    *("blick", "dorn", "fep", "gazz", "hulm", "jeb", "korp", "lint", "mave", "nolt"),
    *("prax", "quib", "rune", "snit", "tove", "urd", "vusk", "wemp", "yarl", "zib"),
)
_COLOURS = ("red", "blue", "green", "black", "white", "brown", "grey", "pink")
_IS_A = re.compile(r"Every (\w+) is a (\w+)\.")
_IS_COLOUR = re.compile(r"Every (\w+) is (\w+)\.")
_MEMBER = re.compile(r"(\w+) is a (\w+)\. What colour is \1\?")


def generate(rng: random.Random) -> Puzzle:
    """Two chains of two classes, each ending in a colour; the question is about a member of one of them."""
    first, second, third, fourth = rng.sample(_CLASSES, 4)
    colours = rng.sample(_COLOURS, 2)
    facts = [
        f"Every {first} is a {second}.",
        f"Every {second} is {colours[0]}.",
        f"Every {third} is a {fourth}.",
        f"Every {fourth} is {colours[1]}.",
    ]
    rng.shuffle(facts)
    which = rng.randrange(2)
    name = rng.choice(NAMES)
    text = f"{' '.join(facts)} {name} is a {(first, third)[which]}. What colour is {name}?"
    return Puzzle("categories", text, colours[which])


def _read(text: str) -> tuple[str, str, dict[str, str], dict[str, str]]:
    member = _MEMBER.search(text)
    if member is None:
        raise ValueError("not a category puzzle")
    parents = dict(_IS_A.findall(text))
    colours = {name: colour for name, colour in _IS_COLOUR.findall(text) if colour in _COLOURS}
    if parents.get(member[2]) not in colours:
        raise ValueError("the chain is broken")
    return member[1], member[2], parents, colours


def _others(colours: dict[str, str], answer: str) -> tuple[str, ...]:
    stated = [colour for colour in colours.values() if colour != answer]
    return tuple(stated + [colour for colour in _COLOURS if colour != answer and colour not in stated][:2])


def forward(text: str) -> Solution:
    """Climb from the member to the colour."""
    name, low, parents, colours = _read(text)
    high = parents[low]
    answer = colours[high]
    return Solution(
        (
            Step(f"{name} is a {low}.", f"{name} {low}", needed=False),
            Step(f"Every {low} is a {high}, so {name} is a {high}.", f"{low} -> {high}"),
            Step(f"Every {high} is {answer}, so {name} is {answer}.", f"{high} -> {answer}"),
        ),
        answer,
        _others(colours, answer),
    )


def eliminate(text: str) -> Solution:
    """Start from the colours and drop the one whose chain misses the member."""
    name, low, parents, colours = _read(text)
    answer = colours[parents[low]]
    steps = []
    for child, parent in parents.items():
        colour = colours[parent]
        if child == low:
            steps.append(
                Step(f"{colour.capitalize()} belongs to {parent}, which takes in {low}.", f"{low} {parent} {colour}")
            )
        else:
            steps.append(
                Step(f"{colour.capitalize()} goes with {child} and {parent}, not {low}.", f"not {colour}", False)
            )
    steps.append(Step(f"{name} is a {low}, so what is left is {answer}.", f"left {answer}"))
    return Solution(tuple(steps), answer, _others(colours, answer))


def tabulate(text: str) -> Solution:
    """Write both chains down and read the right line."""
    name, low, parents, colours = _read(text)
    answer = colours[parents[low]]
    lines = [
        Step(f"Line: {child}, {parent}, {colours[parent]}.", f"{child} {parent} {colours[parent]}", child == low)
        for child, parent in parents.items()
    ]
    end = Step(f"{name} stands in the line of {low}: {answer}.", f"{name} {low} {answer}")
    return Solution((*lines, end), answer, _others(colours, answer))


KIND = Kind(
    "categories",
    generate,
    lambda text: bool(_MEMBER.search(text) and _IS_A.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
