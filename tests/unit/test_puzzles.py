from __future__ import annotations

import random
import re

import pytest

from engine.puzzles import KINDS, METHODS, generate_puzzles, solve_puzzle

PUZZLES = generate_puzzles(600, seed=4)


def test_every_kind_is_drawn_equally_often_and_no_text_twice() -> None:
    assert len({puzzle.text for puzzle in PUZZLES}) == len(PUZZLES)
    counts = [sum(puzzle.kind == kind for puzzle in PUZZLES) for kind in KINDS]
    assert sum(counts) == 600
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_method_solves_every_kind_from_its_text_alone(kind: str, method: str) -> None:
    for puzzle in (p for p in PUZZLES if p.kind == kind):
        name, solution = solve_puzzle(puzzle.text, method)
        assert name == kind
        assert solution.answer == puzzle.answer, puzzle.text
        assert re.search(rf"\b{re.escape(puzzle.answer)}\b", solution.steps[-1].full), puzzle.text
        assert re.search(rf"\b{re.escape(puzzle.answer)}\b", solution.steps[-1].short), puzzle.text
        assert solution.distractors
        assert solution.answer not in solution.distractors


@pytest.mark.parametrize("kind", KINDS)
def test_the_three_methods_reason_differently(kind: str) -> None:
    for puzzle in (p for p in PUZZLES if p.kind == kind):
        texts = {" ".join(s.full for s in solve_puzzle(puzzle.text, method)[1].steps) for method in METHODS}
        assert len(texts) == len(METHODS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_short_form_of_a_solution_is_shorter(kind: str) -> None:
    for puzzle in (p for p in PUZZLES if p.kind == kind):
        for method in METHODS:
            steps = solve_puzzle(puzzle.text, method)[1].steps
            assert sum(len(step.short) for step in steps) < sum(len(step.full) for step in steps)


def test_a_text_is_recognised_as_one_kind_only() -> None:
    for puzzle in PUZZLES:
        assert [name for name, kind in KINDS.items() if kind.recognises(puzzle.text)] == [puzzle.kind]


def test_held_out_puzzles_repeat_no_training_text() -> None:
    train = frozenset(puzzle.text for puzzle in generate_puzzles(400, seed=1))
    heldout = generate_puzzles(200, seed=1, exclude=train)
    assert len(heldout) == 200
    assert train.isdisjoint(puzzle.text for puzzle in heldout)


def test_the_same_seed_draws_the_same_puzzles_and_another_does_not() -> None:
    state = random.getstate()
    assert generate_puzzles(60, seed=4) == PUZZLES[:60]
    assert generate_puzzles(60, seed=5) != PUZZLES[:60]
    assert random.getstate() == state


def test_running_out_of_texts_is_told() -> None:
    with pytest.raises(ValueError, match=r"no new \w+ puzzle"):
        generate_puzzles(50_000, seed=0)


@pytest.mark.parametrize("text", ["", "What is the capital of France?", "Who is the tallest?", "Today is Yesterday."])
def test_another_text_is_no_puzzle(text: str) -> None:
    with pytest.raises(ValueError, match="puzzle"):
        solve_puzzle(text, "forward")


def test_puzzles_ask_nothing_that_gives_the_answer_away() -> None:
    given = [puzzle for puzzle in PUZZLES if puzzle.kind in ("sums", "sequences")]
    assert given
    told = sum(bool(re.search(rf"\b{re.escape(puzzle.answer)}\b", puzzle.text)) for puzzle in given)
    assert told / len(given) < 0.2
