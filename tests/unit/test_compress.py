from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.compression import COMPRESSORS, Compressed, CompressWork, compress
from engine.compression.rewriting import compress_one
from engine.compression.student_rationales import judge_student
from engine.compression.teacher_guided import TEACHER_GUIDED
from engine.datasets.rows import Example
from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.prompts import UNSOUND
from engine.tasks import get_task
from engine.teachers.caller import Caller
from engine.values import Choice, Generation, Purpose, Reply, TeacherSpec, make_query

TASK = get_task("choice")
GUIDED = COMPRESSORS.get(TEACHER_GUIDED)
QUERY = make_query("Which?", (Choice("A", "x"), Choice("B", "y")))
EXAMPLE = Example(QUERY, "s1", "a long original rationale", "B")
SHORT = "y fits best"


class Journal:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, type_: str, **data: Any) -> None:
        self.events.append((type_, json.loads(json.dumps(data))))

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [data for found, data in self.events if found == type_]


@dataclass
class FakeTeacher:
    rewrite: str | TeacherError = '{"rationale": "y fits best", "label": "B"}'
    check: str | TeacherError = '{"label": "(B) y"}'
    alone: str | TeacherError = '{"label": "A"}'
    name: str = "ann"
    live: bool = True
    asked: list[Request] = field(default_factory=list)

    @property
    def spec(self) -> TeacherSpec:
        return TeacherSpec(self.name, "fake", "m")

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        check = self.check if "rationale" in request.variables else self.alone
        said = check if request.purpose is Purpose.CHECK else self.rewrite
        if isinstance(said, TeacherError):
            raise said
        return Reply(said, said)


def wrote(text: str, finished: bool = True) -> Generation:
    return Generation(QUERY.id, text, 9, finished, 0.1)


SOUND = wrote("It has y.\nAnswer: B")


def once() -> Caller:
    return Caller(attempts=1)


def run(
    teacher: FakeTeacher, level: int = 1, student: Generation | None = SOUND, checker: FakeTeacher | None = None
) -> Compressed:
    work = CompressWork(EXAMPLE, teacher, student, checker=checker)
    done = asyncio.run(compress_one(TASK, work, GUIDED, level, Journal(), once()))
    assert done is not None
    return done


@pytest.mark.parametrize(
    ("student", "flaw"),
    [
        (None, "empty"),
        (wrote(""), "empty"),
        (wrote("Answer: B"), "empty"),
        (wrote("it is so and " * 4 + "\nAnswer: B"), "loops"),
        (wrote("Ann is not tall. Ben is not tall. Cy is not tall. Di is not tall. Eve is not tall.\nAnswer: B"), None),
        (wrote("It has y.\nAnswer: B", finished=False), "unfinished"),
        (wrote("It has x.\nAnswer: A"), "other label"),
        (wrote("It has y, I think."), "other label"),
        (SOUND, None),
        (wrote("it is so and " * 3 + "\nAnswer: b"), None),
    ],
)
def test_why_a_student_rationale_is_no_model(student: Generation | None, flaw: str | None) -> None:
    assert judge_student(TASK, QUERY, "B", student) == flaw


def test_the_answer_line_is_no_part_of_the_rationale() -> None:
    assert TASK.split_completion("One.\nTwo.\nAnswer: B")[0] == "One.\nTwo."
    assert TASK.split_completion(" no marker ")[0] == "no marker"
    assert TASK.split_completion("Answer: B")[0] == ""


def test_a_rewrite_that_keeps_the_answer_replaces_the_rationale() -> None:
    teacher = FakeTeacher()
    assert run(teacher) == Compressed(EXAMPLE, SHORT, ("answer preserved (level 1)",))
    assert [request.purpose for request in teacher.asked] == [Purpose.COMPRESS]


def test_the_teacher_sees_both_rationales_and_the_label() -> None:
    teacher = FakeTeacher()
    run(teacher)
    (request,) = teacher.asked
    assert request.variables["student_rationale"] == "It has y."
    for part in ("Which?\n(A) x\n(B) y", "Answer: B", "a long original rationale", "It has y."):
        assert part in request.user


@pytest.mark.parametrize("student", [None, wrote("It has x.\nAnswer: A"), wrote("so it is " * 20)])
def test_an_unsound_student_rationale_is_marked_and_flagged(student: Generation | None) -> None:
    teacher = FakeTeacher()
    result = run(teacher, student=student)
    flaw = judge_student(TASK, QUERY, "B", student)
    assert teacher.asked[0].variables["student_rationale"].startswith(f"{UNSOUND}{flaw})")
    assert result.flags == (f"student:{flaw}", "answer preserved (level 1)")


@pytest.mark.parametrize(
    ("rewrite", "why"),
    [
        ('{"rationale": "y fits best", "label": "A"}', "answer changed (level 1)"),
        ('{"rationale": "y fits best", "label": "C"}', "holds no rationale and label"),
        ('{"rationale": " ", "label": "B"}', "holds no rationale and label"),
        ('{"rationale": "y fits best"', "holds no rationale and label"),
        ("", "holds no rationale and label"),
        (TeacherError(ErrorKind.REFUSED, "no"), "refused: no"),
    ],
)
def test_a_rewrite_that_fails_level_1_keeps_the_original_flagged(rewrite: str | TeacherError, why: str) -> None:
    teacher = FakeTeacher(rewrite=rewrite)
    result = run(teacher, level=2)
    assert result.rationale == EXAMPLE.rationale
    (flag,) = result.flags
    assert flag.startswith("kept original: ")
    assert why in flag
    assert len(teacher.asked) == 1


@pytest.mark.parametrize(
    ("rewrite", "why"),
    [
        ("it is y and that is that " * 9, "longer than the original"),
        ("B", "holds no reasoning"),
        ("1 + 1 = 3, so y", "wrong arithmetic: 1 + 1 = 3"),
        ("no, it is x. Answer: A", "names another answer"),
    ],
)
def test_a_rewrite_that_is_no_rationale_keeps_the_original(rewrite: str, why: str) -> None:
    result = run(FakeTeacher(rewrite=json.dumps({"rationale": rewrite, "label": "B"})))
    assert result == Compressed(EXAMPLE, EXAMPLE.rationale, (f"kept original: {why} (level 1)",))


@pytest.mark.parametrize("check", ['{"label": "A"}', "It leads nowhere.", TeacherError(ErrorKind.REFUSED, "no")])
def test_a_rewrite_that_fails_level_2_keeps_the_original_flagged(check: str | TeacherError) -> None:
    checker = FakeTeacher(check=check, alone='{"label": "B"}', name="bob")
    result = run(FakeTeacher(), level=2, checker=checker)
    assert result.rationale == EXAMPLE.rationale
    assert result.flags == (
        "with the short form: another answer or none",
        "without it: the same answer",
        "checked by bob",
        "kept original: does not lead to the answer (level 2)",
    )
    assert run(FakeTeacher(), level=1, checker=checker).rationale == SHORT


def test_level_2_asks_another_teacher_with_the_short_form_and_without_any() -> None:
    teacher, checker = FakeTeacher(), FakeTeacher(name="bob")
    assert run(teacher, level=2, checker=checker).flags == (
        "with the short form: the same answer",
        "without it: another answer or none",
        "checked by bob",
        "answer preserved (level 2)",
    )
    assert [request.purpose for request in teacher.asked] == [Purpose.COMPRESS]
    led, alone = checker.asked
    assert set(led.variables) == {"query", "rationale"} and set(alone.variables) == {"query"}
    assert SHORT in led.user and SHORT not in alone.user
    assert "original" not in led.user + alone.user


def test_each_rewrite_is_journaled_and_stopping_leaves_the_rest() -> None:
    journal = Journal()
    work = [CompressWork(EXAMPLE, FakeTeacher(), SOUND)] * 3
    done = asyncio.run(
        compress(TASK, work, GUIDED, 1, journal, Caller(stop=lambda: len(journal.of("compressed")) == 2))
    )
    assert len(done) == 2
    assert journal.of("compressed")[0] == {
        "sample_id": "s1",
        "query_id": QUERY.id,
        "rationale": SHORT,
        "flags": ["answer preserved (level 1)"],
    }


def test_every_reply_is_journaled_as_an_attempt_of_its_purpose() -> None:
    journal = Journal()
    failing = FakeTeacher(rewrite=TeacherError(ErrorKind.SERVER, "down", "half"))
    checker = FakeTeacher(name="bob")
    work = [CompressWork(EXAMPLE, teacher, SOUND, checker=checker) for teacher in (FakeTeacher(), failing)]
    asyncio.run(compress(TASK, work, GUIDED, 2, journal, once()))
    told = [(event["purpose"], event["error"], event["raw"]) for event in journal.of("reply")]
    assert told == [
        ("compress", None, '{"rationale": "y fits best", "label": "B"}'),
        ("check", None, '{"label": "(B) y"}'),
        ("check", None, '{"label": "A"}'),
        ("compress", "server", "half"),
    ]
    assert not any("sample" in event for event in journal.of("reply"))


@pytest.mark.parametrize("level", [1, 2])
def test_what_a_teacher_may_answer_later_is_left_for_later(level: int) -> None:
    down = TeacherError(ErrorKind.SERVER, "down")
    teacher = FakeTeacher(rewrite=down) if level == 1 else FakeTeacher()
    journal = Journal()
    work = CompressWork(EXAMPLE, teacher, SOUND, checker=FakeTeacher(alone=down, name="bob"))
    assert asyncio.run(compress(TASK, [work], GUIDED, level, journal, once())) == []
    assert journal.of("compressed") == []


def test_a_wrong_key_ends_the_compression_and_keeps_what_came_in() -> None:
    journal = Journal()
    locked = FakeTeacher(rewrite=TeacherError(ErrorKind.AUTH, "wrong key"))
    work = [CompressWork(EXAMPLE, teacher, SOUND) for teacher in (FakeTeacher(), locked, FakeTeacher())]
    with pytest.raises(TeacherError, match="wrong key"):
        asyncio.run(compress(TASK, work, GUIDED, 1, journal, once()))
    assert len(journal.of("compressed")) >= 1


def test_a_teacher_that_only_fails_ends_the_compression_with_its_last_fault_and_what_to_do() -> None:
    """A hundred thousand rationales were asked for, seven times each, of an endpoint that was down."""
    journal = Journal()
    down = FakeTeacher(rewrite=TeacherError(ErrorKind.SERVER, "HTTP 500"))
    work = [CompressWork(EXAMPLE, FakeTeacher(), SOUND), *[CompressWork(EXAMPLE, down, SOUND)] * 100]
    with pytest.raises(TeacherError, match=r"requests in a row came to nothing, the last with: HTTP 500\. Ask again"):
        asyncio.run(compress(TASK, work, GUIDED, 1, journal, once()))
    assert len(down.asked) < 20 and len(journal.of("compressed")) == 1
