"""The scripted teachers' short forms still lead to the answer: each is solved here without the answer it ends in."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from fractions import Fraction

import pytest

from engine.arithmetic import evaluate
from engine.ports import Request
from engine.puzzles import KINDS, METHODS, generate_puzzles, solve_puzzle
from engine.rationale_checks import find_flaw
from engine.tasks import get_task
from engine.teachers.scripted import ScriptedTeacher
from engine.values import Purpose, make_query

TASK = get_task("custom")
PUZZLES = generate_puzzles(600, seed=31)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def left_of(equation: str) -> str:
    """The value of an equation's left side; what stands behind it is not looked at."""
    value = evaluate(equation.split("=")[0])
    assert isinstance(value, Fraction)
    return str(value)


def solve_sum(text: str, parts: list[str]) -> str:
    start, gain, loss = (int(number) for number in re.findall(r"\d+", text))
    if "=" in parts[-1]:
        operands = {int(number) for part in parts for number in re.findall(r"\d+", part.split("=")[0])}
        assert start in operands
        assert {gain, loss} <= operands | {start}
        return left_of(parts[-1])
    up, down = (re.findall(r"\d+", part) for part in parts[:2])
    assert (len(up) - 1, len(down) - 1, up[0], down[0]) == (gain, loss, str(start), up[-1])
    return down[-1]


def solve_count(text: str, parts: list[str]) -> str:
    items = re.findall(r"\w+", text.split(":")[1].split(".")[0])
    if parts[-1].startswith("5 -"):
        assert parts[0].startswith("out ")
        return str(len(items) - len(parts[0].removeprefix("out ").split(", ")))
    if parts[0].startswith("no "):
        assert all(item in parts[0] for item in items)
        return "0"
    return str(sum(item in " ".join(parts[:-1]).replace(",", "").split() for item in items))


def solve_calendar(text: str, parts: list[str]) -> str:
    fairs = re.findall(r"(\w+) Fair[,? ]", text)
    if "after" in parts[0]:
        assert all(MONTHS.index(p.split()[1]) > MONTHS.index(p.split()[3]) for p in parts[:-1])
        (left,) = set(fairs) - {part.split()[0] for part in parts[:-1]}
        return f"{left} Fair"
    words = " ".join(parts[:-1]).replace(",", "").split()
    pairs = list(zip(words[::2], words[1::2], strict=True))
    month = dict(pairs if words[1] in MONTHS else [(fair, when) for when, fair in pairs])
    return f"{min(fairs, key=lambda fair: MONTHS.index(month[fair]))} Fair"


def solve_category(text: str, parts: list[str]) -> str:
    _, member_of = re.findall(r"(\w+) is a (\w+)\.", text)[-1]
    if "->" in parts[-1]:
        links = dict(part.split(" -> ") for part in parts if "->" in part)
        return links[links[member_of]]
    (line,) = [part.split() for part in parts[:-1] if part.split()[0] == member_of and len(part.split()) == 3]
    assert f"Every {line[0]} is a {line[1]}." in text
    return line[2]


def solve_ordering(text: str, parts: list[str]) -> str:
    asked = re.findall(r"the (\w+)\?", text)[0]
    top = asked in ("tallest", "oldest", "fastest", "heaviest")
    names = {name for pair in re.findall(r"(\w+) is \w+ than (\w+)", text) for name in pair}
    if ">" in parts[0]:
        pairs = [part.split(" > ") for part in parts[:-1]]
        (end,) = {pair[not top] for pair in pairs} - {pair[top] for pair in pairs}
        return end
    if "not" in parts[0]:
        (left,) = names - {part.split("not ")[1] for part in parts[:-1]}
        return left
    ranks = dict(part.split() for part in parts[:-1])
    return ranks["1" if top else str(len(names))]


def solve_sequence(text: str, parts: list[str]) -> str:
    row = re.findall(r"\d+", text)
    assert parts[-1].startswith(row[-1])
    step = re.findall(r"[+-] \d+", parts[-1])[0]
    first = next(part for part in parts if not part.startswith(("place", "again")))
    assert first.startswith(row[0])
    if "/" in parts[1]:
        span = re.findall(r"\d+", first)[-1]
        assert parts[1].startswith(f"{span} / 3")
        assert int(span) == abs(int(row[-1]) - int(row[0]))
        assert left_of(parts[1]) == step.split()[1]
    else:
        assert first.endswith(step)
    return left_of(parts[-1])


SOLVERS: dict[str, Callable[[str, list[str]], str]] = {
    "sums": solve_sum,
    "counting": solve_count,
    "calendar": solve_calendar,
    "categories": solve_category,
    "orderings": solve_ordering,
    "sequences": solve_sequence,
}


def shorten(method: str, text: str, student: str) -> tuple[str, str, str]:
    """The teacher's own rationale, its short form, and the label."""
    solution = solve_puzzle(text, method)[1]
    original = " ".join(step.full for step in solution.steps)
    variables = {"label": solution.answer, "teacher_rationale": original, "student_rationale": student}
    reply = asyncio.run(
        ScriptedTeacher(method).ask(Request(make_query(text), Purpose.COMPRESS, "", "", variables=variables))
    )
    return original, json.loads(reply.text)["rationale"], solution.answer


def test_every_kind_is_solved_here() -> None:
    assert set(SOLVERS) == set(KINDS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("said", ["short", "all of it"])
def test_a_short_form_leads_to_the_answer_and_passes_every_check(method: str, said: str) -> None:
    for puzzle in PUZZLES:
        full = " ".join(step.full for step in solve_puzzle(puzzle.text, method)[1].steps)
        original, short, label = shorten(method, puzzle.text, "ok" if said == "short" else f"{full} {full}")
        assert SOLVERS[puzzle.kind](puzzle.text, short.split("; ")) == puzzle.answer, (puzzle.text, short)
        assert find_flaw(TASK, make_query(puzzle.text), label, short, original) is None, (short, original)


@pytest.mark.parametrize("method", METHODS)
def test_short_forms_are_much_shorter(method: str) -> None:
    pairs = [shorten(method, puzzle.text, "ok")[:2] for puzzle in PUZZLES]
    assert sum(len(short) for _, short in pairs) < 0.6 * sum(len(original) for original, _ in pairs)
