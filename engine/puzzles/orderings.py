"""Orderings: from comparisons of neighbours to who stands at one end."""

from __future__ import annotations

import random
import re
from itertools import pairwise

from engine.puzzles.base import NAMES, Kind, Puzzle, Solution, Step

_SCALES = {
    "taller": ("tallest", "shortest"),
    "older": ("oldest", "youngest"),
    "faster": ("fastest", "slowest"),
    "heavier": ("heaviest", "lightest"),
}
_FACT = re.compile(r"(\w+) is (\w+) than (\w+)\.")
_QUESTION = re.compile(r"Who is the (\w+)\?")


def generate(rng: random.Random) -> Puzzle:
    """Four people in a hidden order, told as shuffled comparisons of neighbours."""
    people = rng.sample(NAMES, 4)
    more = rng.choice(list(_SCALES))
    facts = [f"{high} is {more} than {low}." for high, low in pairwise(people)]
    rng.shuffle(facts)
    end = rng.randrange(2)
    text = f"{' '.join(facts)} Who is the {_SCALES[more][end]}?"
    return Puzzle("orderings", text, people[-1] if end else people[0])


def _read(text: str) -> tuple[list[tuple[str, str]], str, str, bool]:
    facts = _FACT.findall(text)
    question = _QUESTION.search(text)
    if not facts or question is None or any(more not in _SCALES for _, more, _ in facts):
        raise ValueError("not an ordering")
    pairs = [(high, low) for high, _, low in facts]
    return pairs, facts[0][1], question[1], question[1] == _SCALES[facts[0][1]][0]


def _chain(pairs: list[tuple[str, str]]) -> list[str]:
    below = dict(pairs)
    tops = set(below) - set(below.values())
    if len(tops) != 1:
        raise ValueError("the comparisons make no chain")
    person = tops.pop()
    chain = [person]
    while person in below and len(chain) <= len(pairs):
        person = below[person]
        chain.append(person)
    return chain


def _others(chain: list[str], answer: str) -> tuple[str, ...]:
    return tuple(name for name in chain if name != answer)


def forward(text: str) -> Solution:
    """Link the comparisons into one chain and read off its end."""
    pairs, more, asked, top = _read(text)
    chain = _chain(pairs)
    links = [Step(f"{a} is {more} than {b}.", f"{a} > {b}") for a, b in pairwise(chain)]
    answer = chain[0] if top else chain[-1]
    where = "first" if top else "last"
    end = Step(f"The chain has {answer} {where}, so {answer} is the {asked}.", f"{where} {answer}")
    return Solution((*links, end), answer, _others(chain, answer))


def eliminate(text: str) -> Solution:
    """Rule out everyone who loses one comparison."""
    pairs, more, asked, top = _read(text)
    chain = _chain(pairs)
    answer = chain[0] if top else chain[-1]
    steps = []
    for high, low in pairs:
        loser, why = (low, f"{high} is {more}") if top else (high, f"{high} is {more} than {low}")
        short = f"{high} above {low}, not {loser}"
        steps.append(Step(f"{loser} is not the {asked}, because {why}.", short))
    end = Step(f"Only {answer} is left, so {answer} is the {asked}.", f"left {answer}")
    return Solution((*steps, end), answer, _others(chain, answer))


def tabulate(text: str) -> Solution:
    """Give each person a rank and look the asked rank up."""
    pairs, _, asked, top = _read(text)
    chain = _chain(pairs)
    ranks = [Step(f"{name} gets rank {place}.", f"{place} {name}") for place, name in enumerate(chain, 1)]
    answer = chain[0] if top else chain[-1]
    place = 1 if top else len(chain)
    end = Step(f"Rank {place} is the {asked}: {answer}.", f"{asked} {answer}")
    return Solution((*ranks, end), answer, _others(chain, answer))


KIND = Kind(
    "orderings",
    generate,
    lambda text: bool(_QUESTION.search(text) and _FACT.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
