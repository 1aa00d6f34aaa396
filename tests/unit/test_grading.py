"""Teachers grade their own answers: what is asked, how the grade is read, and how the shipped teachers grade."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.costs import Budget
from engine.errors import CapReached, ErrorKind
from engine.jobs.inline import Heard, label_queries
from engine.labelling.grading import GradeWork, grade, list_grade_requests, read_grade
from engine.labelling.online import LabelWork
from engine.ports import Request
from engine.prompts import load_prompt
from engine.puzzles import METHODS, generate_puzzles
from engine.tasks import get_task
from engine.teachers.caller import Caller
from engine.teachers.scripted import SCRIPTED_TEACHERS, ScriptedTeacher
from engine.values import GRADE, Purpose, Reply, Sample, TeacherSpec, make_query

TASK = get_task("custom")
QUERY = make_query("How many legs has a horse?")
PROMPT = load_prompt("select", "grade")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"reason": "sound", "grade": "Good"}', 1.0),
        ('```json\n{"reason": "a Poor start", "grade": "medium"}\n```', 0.5),
        ('<think>grade: Good?</think>{"grade": "Poor."}', 0.0),
        ("It skips a step.\n**Grade:** Medium", 0.5),
        ("Good.", 1.0),
        ("**Poor**", 0.0),
        ("grade: Good. And again, Grade = good", 1.0),
        ("Grade: Good, or grade: Poor", None),
        ("It is good work with a poor end.", None),
        ('{"grade": "Excellent"}', None),
        ('{"grade": 1}', None),
        ("<think>Good", None),
        ("", None),
    ],
)
def test_a_grade_is_read_or_it_is_none(text: str, value: float | None) -> None:
    assert read_grade(text) == value


@given(st.text())
def test_no_text_makes_reading_a_grade_raise(text: str) -> None:
    assert read_grade(text) in (None, 0.0, 0.5, 1.0)


class Examiner:
    """A teacher that grades as it is told to."""

    live = True

    def __init__(self, says: str, name: str = "ann") -> None:
        self.says, self.asked = says, list[Request]()
        self.spec = TeacherSpec(name, "fake", "m", input_price=3.0, output_price=15.0)

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        return Reply(self.says, self.says)


def sample(name: str, teacher: str = "ann", **more: Any) -> Sample:
    return Sample(name, QUERY.id, teacher, f"It has {name} legs.", "four", "four", {}, **more)


def make_work(*teachers: Any, **more: Any) -> GradeWork:
    samples = [sample("s1"), sample("s2", draw=1), sample("s3", "bob")]
    return GradeWork(TASK, PROMPT, samples, {QUERY.id: QUERY}, teachers, **more)


def test_each_teacher_is_shown_its_own_answers_and_nothing_else() -> None:
    ann, bob, heard = Examiner('{"grade": "Good"}'), Examiner("Poor", "bob"), Heard()
    counts = asyncio.run(grade(make_work(ann, bob, nonce="job"), heard))
    assert counts.samples == 3 and counts.failures == 0
    assert [request.purpose for request in ann.asked] == [Purpose.GRADE] * 2 and len(bob.asked) == 1
    first = ann.asked[0]
    assert "It has s1 legs." in first.user and "four" in first.user and QUERY.text in first.user
    assert first.variables.keys() == {"query", "rationale", "label"}
    assert first.key and first.key != ann.asked[1].key
    told = {data["sample_id"]: data["evidence"] for data in heard.of("reply")}
    assert told == {"s1": {GRADE: 1.0}, "s2": {GRADE: 1.0}, "s3": {GRADE: 0.0}}
    assert {data["purpose"] for data in heard.of("reply")} == {"grade"}
    assert not any("sample" in data for data in heard.of("reply")), "a grade makes no sample"


def test_what_has_a_grade_is_not_asked_about_again() -> None:
    ann = Examiner("Good")
    asyncio.run(grade(make_work(ann, known={"s1"}), Heard()))
    assert [request.draw for request in ann.asked] == [1]
    assert [item["sample_id"] for item in list_grade_requests(make_work(known={"s1"}), ann.spec)] == ["s2"]


def test_a_reply_without_a_grade_is_a_failed_attempt_with_its_text() -> None:
    heard = Heard()
    counts = asyncio.run(grade(make_work(Examiner("Well, well.")), heard))
    assert counts.failures == 2 and counts.samples == 0
    assert {data["error"] for data in heard.of("reply")} == {ErrorKind.UNPARSABLE}
    assert all(data["raw"] == "Well, well." and "evidence" not in data for data in heard.of("reply"))


def test_no_request_passes_the_cap() -> None:
    ann = Examiner("Good")
    with pytest.raises(CapReached):
        asyncio.run(grade(make_work(ann), Heard(), Caller(Budget(max_requests=1))))
    assert len(ann.asked) == 1


def grades_of(method: str) -> list[tuple[float, bool]]:
    """Of a shipped teacher's answers: the grade it gives, and whether the answer is right."""
    puzzles = generate_puzzles(300, seed=11)
    queries = [make_query(puzzle.text) for puzzle in puzzles]
    golds = {query.id: puzzle.answer for query, puzzle in zip(queries, puzzles, strict=True)}
    teacher, heard = ScriptedTeacher(method), Heard()
    samples = label_queries(LabelWork(TASK, load_prompt("teacher", "custom"), queries, [teacher]))
    work = GradeWork(TASK, PROMPT, samples, {query.id: query for query in queries}, [teacher])
    asyncio.run(grade(work, heard))
    right = {sample.id: sample.label == golds[sample.query_id] for sample in samples}
    return [(data["evidence"][GRADE], right[data["sample_id"]]) for data in heard.of("reply")]


@pytest.mark.parametrize("method", METHODS)
def test_a_shipped_teacher_finds_some_of_its_errors_and_overlooks_others(method: str) -> None:
    found = grades_of(method)
    wrong = [grade for grade, right in found if not right]
    good = [right for grade, right in found if grade == 1.0]
    assert 0.2 < sum(grade == 1.0 for grade in wrong) / len(wrong) < 0.8
    assert sum(good) / len(good) > sum(right for _, right in found) / len(found)
    assert any(right for grade, right in found if grade < 1.0), "and doubts some that are right"
    assert found == grades_of(method)


def test_a_shipped_teacher_grades_what_it_is_shown_and_not_the_truth() -> None:
    puzzle = generate_puzzles(1, seed=3)[0]
    for teacher in SCRIPTED_TEACHERS:
        shown = {"query": puzzle.text, "rationale": "Hm.", "label": "nonsense"}
        request = Request(make_query(puzzle.text), Purpose.GRADE, "", "", variables=shown)
        assert json.loads(asyncio.run(teacher.ask(request)).text)["grade"] == "Poor"
        assert replace(request, draw=1) != request
