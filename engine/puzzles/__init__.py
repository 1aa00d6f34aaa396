"""The demo's task family: six kinds of generated puzzles, each with three ways to solve it from its text."""

from __future__ import annotations

import random

from engine.puzzles import calendar, categories, counting, orderings, sequences, sums
from engine.puzzles.base import METHODS, Kind, Puzzle, Solution, Step

__all__ = ["KINDS", "METHODS", "Kind", "Puzzle", "Solution", "Step", "generate_puzzles", "solve_puzzle"]

KINDS: dict[str, Kind] = {
    module.KIND.name: module.KIND for module in (orderings, sums, counting, calendar, categories, sequences)
}


def generate_puzzles(count: int, seed: int, exclude: frozenset[str] = frozenset()) -> list[Puzzle]:
    """Draw `count` puzzles, the kinds in turn, no text twice and none in `exclude`.

    Raises:
        ValueError: if a kind has too few different texts left.
    """
    rng = random.Random(seed)
    kinds = list(KINDS.values())
    seen = set(exclude)
    puzzles: list[Puzzle] = []
    for index in range(count):
        kind = kinds[index % len(kinds)]
        for _ in range(1000):
            puzzle = kind.generate(rng)
            if puzzle.text not in seen:
                break
        else:
            raise ValueError(f"no new {kind.name} puzzle found after {index} of {count}")
        seen.add(puzzle.text)
        puzzles.append(puzzle)
    return puzzles


def solve_puzzle(text: str, method: str) -> tuple[str, Solution]:
    """Solve a puzzle from its text.

    Returns:
        The name of the kind and the worked solution.

    Raises:
        ValueError: if the text is none of the known kinds.
    """
    for kind in KINDS.values():
        if kind.recognises(text):
            return kind.name, kind.solvers[method](text)
    raise ValueError("no kind of puzzle fits this text")
