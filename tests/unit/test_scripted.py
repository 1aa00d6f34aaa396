from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import cache

import pytest

from engine.errors import ErrorKind, TeacherError
from engine.evaluation.report import auroc
from engine.ports import Request
from engine.prompts import UNSOUND
from engine.puzzles import METHODS, generate_puzzles, solve_puzzle
from engine.tasks import get_task
from engine.teachers.scripted import SCRIPTED_TEACHERS, ScriptedTeacher
from engine.values import ParsedReply, Purpose, make_query

TASK = get_task("custom")
PUZZLES = generate_puzzles(900, seed=11)
STATED_SLIPS = {"forward": 0.06, "eliminate": 0.10, "tabulate": 0.14}


def ask(
    teacher: ScriptedTeacher,
    text: str,
    purpose: Purpose = Purpose.LABEL,
    variables: Mapping[str, str] | None = None,
    draw: int = 0,
) -> str:
    request = Request(make_query(text), purpose, "system", "user", variables=variables or {}, draw=draw)
    return asyncio.run(teacher.ask(request)).text


@cache
def replies(method: str) -> list[ParsedReply | None]:
    teacher = ScriptedTeacher(method)

    async def all_of_them() -> list[str]:
        requests = [Request(make_query(puzzle.text), Purpose.LABEL, "", "") for puzzle in PUZZLES]
        return [(await teacher.ask(request)).text for request in requests]

    query = make_query("any")
    return [TASK.parse(query, text) for text in asyncio.run(all_of_them())]


def rewrite(teacher: ScriptedTeacher, text: str, label: str, student: str) -> ParsedReply:
    variables = {"query": text, "label": label, "teacher_rationale": "", "student_rationale": student}
    found = TASK.parse(make_query(text), ask(teacher, text, Purpose.COMPRESS, variables))
    assert found is not None
    return found


def test_there_is_one_teacher_a_method() -> None:
    assert [teacher.spec.name for teacher in SCRIPTED_TEACHERS] == list(METHODS)
    assert len({teacher.spec.model for teacher in SCRIPTED_TEACHERS}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_replies_are_the_same_every_time_and_other_draws_may_differ(method: str) -> None:
    teacher = ScriptedTeacher(method)
    first = [ask(teacher, puzzle.text) for puzzle in PUZZLES[:50]]
    assert first == [ask(ScriptedTeacher(method), puzzle.text) for puzzle in PUZZLES[:50]]
    assert first != [ask(teacher, puzzle.text, draw=1) for puzzle in PUZZLES[:50]]


@pytest.mark.parametrize("method", METHODS)
def test_some_replies_are_malformed(method: str) -> None:
    share = sum(reply is None for reply in replies(method)) / len(PUZZLES)
    assert 0.012 < share < 0.055


@pytest.mark.parametrize("method", METHODS)
def test_errors_come_about_as_often_as_stated(method: str) -> None:
    pairs = [(r, p) for r, p in zip(replies(method), PUZZLES, strict=True) if r is not None]
    wrong = sum(reply.label != puzzle.answer for reply, puzzle in pairs) / len(pairs)
    assert 0.5 * STATED_SLIPS[method] < wrong < 1.5 * STATED_SLIPS[method]


def test_teachers_do_not_slip_on_the_same_puzzles() -> None:
    slips = [
        {p.text for r, p in zip(replies(method), PUZZLES, strict=True) if r is not None and r.label != p.answer}
        for method in METHODS
    ]
    assert all(one for one in slips)
    assert len(slips[0] & slips[1] & slips[2]) <= 2


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_rationale_leads_to_its_wrong_answer(method: str) -> None:
    for reply, puzzle in zip(replies(method), PUZZLES, strict=True):
        if reply is not None and reply.label != puzzle.answer:
            assert reply.label in reply.rationale


@pytest.mark.parametrize("method", METHODS)
def test_self_scores_say_something_but_not_all(method: str) -> None:
    pairs = [(r, p) for r, p in zip(replies(method), PUZZLES, strict=True) if r is not None]
    assert all(set(r.factors) == set(TASK.factors) and all(0 <= s <= 1 for s in r.factors.values()) for r, _ in pairs)
    confidence = [sum(reply.factors.values()) / len(reply.factors) for reply, _ in pairs]
    found = auroc(confidence, [reply.label == puzzle.answer for reply, puzzle in pairs])
    assert found is not None
    assert 0.6 < found < 0.97


def test_methods_give_different_rationales() -> None:
    for answers in zip(*(replies(method) for method in METHODS), strict=True):
        told = [reply.rationale for reply in answers if reply is not None]
        assert len(set(told)) == len(told)


@pytest.mark.parametrize("method", METHODS)
def test_a_rewrite_keeps_the_label_even_a_wrong_one(method: str) -> None:
    teacher = ScriptedTeacher(method)
    for puzzle in PUZZLES[:120]:
        wrong = solve_puzzle(puzzle.text, method)[1].distractors[0]
        for label in (puzzle.answer, wrong):
            found = rewrite(teacher, puzzle.text, label, "some words of a student that were its own reasoning")
            assert found.label == label
            assert label in found.rationale


@pytest.mark.parametrize("method", METHODS)
def test_a_rewrite_is_shorter_and_says_more_to_a_student_that_can_follow_more(method: str) -> None:
    teacher = ScriptedTeacher(method)
    for puzzle in PUZZLES[:120]:
        steps = solve_puzzle(puzzle.text, method)[1].steps
        full = " ".join(step.full for step in steps)
        brief = rewrite(teacher, puzzle.text, puzzle.answer, "ok").rationale
        long = rewrite(teacher, puzzle.text, puzzle.answer, f"{full} {full}").rationale
        assert len(brief) <= len(long) < len(full)
        assert (brief == long) is all(step.needed for step in steps)


@pytest.mark.parametrize("method", METHODS)
def test_the_length_of_an_unsound_student_rationale_is_no_model(method: str) -> None:
    teacher = ScriptedTeacher(method)
    for puzzle in PUZZLES[:60]:
        lengths = {
            rewrite(teacher, puzzle.text, puzzle.answer, f"{UNSOUND}loops) {said}").rationale
            for said in ("", "word", "a very long loop of words " * 50)
        }
        assert len(lengths) == 1
    assert rewrite(teacher, PUZZLES[0].text, PUZZLES[0].answer, "").rationale in (
        rewrite(teacher, PUZZLES[0].text, PUZZLES[0].answer, f"{UNSOUND}empty) ").rationale
    )


@pytest.mark.parametrize("method", METHODS)
def test_checking_follows_the_rationale_and_not_the_truth(method: str) -> None:
    teacher = ScriptedTeacher(method)
    for puzzle in PUZZLES[:120]:
        wrong = solve_puzzle(puzzle.text, method)[1].distractors[0]
        for label in (puzzle.answer, wrong):
            variables = {"query": puzzle.text, "rationale": rewrite(teacher, puzzle.text, label, "words").rationale}
            assert json.loads(ask(teacher, puzzle.text, Purpose.CHECK, variables))["label"] == label
        nothing = ask(teacher, puzzle.text, Purpose.CHECK, {"query": puzzle.text, "rationale": "Hm."})
        assert TASK.parse(make_query(puzzle.text), nothing) is None


@pytest.mark.parametrize("method", METHODS)
def test_a_checker_that_is_shown_no_rationale_works_the_answer_out(method: str) -> None:
    teacher = ScriptedTeacher(method)
    labels = [json.loads(ask(teacher, p.text, Purpose.CHECK, {"query": p.text}))["label"] for p in PUZZLES]
    wrong = sum(label != puzzle.answer for label, puzzle in zip(labels, PUZZLES, strict=True)) / len(PUZZLES)
    assert 0.5 * STATED_SLIPS[method] < wrong < 1.5 * STATED_SLIPS[method]


def test_a_query_that_is_no_puzzle_is_declined() -> None:
    with pytest.raises(TeacherError) as caught:
        ask(ScriptedTeacher("forward"), "What is the capital of France?")
    assert caught.value.kind is ErrorKind.UNKNOWN_QUERY
