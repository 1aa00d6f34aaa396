from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import LabelCounts, LabelWork, label
from engine.ports import Request, Teacher
from engine.prompts import load_prompt
from engine.puzzles import generate_puzzles
from engine.tasks import get_task
from engine.teachers.hosted import HostedTeacher
from engine.teachers.recorded import RecordedTeacher, Recording
from engine.teachers.scripted import ScriptedTeacher
from engine.values import LOG_PROB, Purpose, Query, Reply, TeacherSpec, make_query
from tests.fakes.provider import Provider, open_chat, run_provider

TASK = get_task("custom")
PUZZLES = generate_puzzles(30, seed=3)
QUERIES = [make_query(puzzle.text) for puzzle in PUZZLES]


def recorded() -> RecordedTeacher:
    outputs = {
        query.id: Recording("so it is", puzzle.answer, factors={"clarity": 0.5})
        for query, puzzle in zip(QUERIES, PUZZLES, strict=True)
    }
    return RecordedTeacher("ann", outputs, "filehash")


@dataclasses.dataclass(frozen=True)
class Hosted:
    """A hosted teacher whose connection is opened for each request, since each test runs loops of its own."""

    spec: TeacherSpec
    live: bool = True

    async def ask(self, request: Request) -> Reply:
        chat = open_chat(self.spec.provider, self.spec.endpoint.removesuffix("/v1"))
        try:
            return await HostedTeacher(self.spec, chat).ask(request)
        finally:
            await chat.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture(scope="module")
def local_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers whatever it is asked with the same words."""
    from tests.fakes.local_teacher import teach
    from tests.fakes.tiny_student import make_tiny_student

    return teach(make_tiny_student(tmp_path_factory.mktemp("local")))


def make_local(folder: Path) -> Teacher:
    from tests.fakes.local_teacher import LocalTeacher

    return LocalTeacher(TeacherSpec("own", "local", str(folder)))


MAKERS: list[Callable[[Provider], Teacher] | None] = [
    lambda provider: ScriptedTeacher("forward"),
    lambda provider: ScriptedTeacher("eliminate"),
    lambda provider: ScriptedTeacher("tabulate"),
    lambda provider: recorded(),
    lambda provider: Hosted(TeacherSpec("ann", "openai", "m", f"{provider.url}/v1")),
    lambda provider: Hosted(TeacherSpec("mia", "mistral", "m", provider.url)),
    None,
]


@pytest.fixture(params=MAKERS, ids=["forward", "eliminate", "tabulate", "recorded", "openai", "mistral", "local"])
def teacher(request: pytest.FixtureRequest, provider: Provider) -> Teacher:
    if request.param is None:
        return make_local(request.getfixturevalue("local_model"))
    made: Teacher = request.param(provider)
    return made


def asked_of(teacher: Teacher) -> list[Query]:
    """Enough queries; a local model is loaded anew for each."""
    return QUERIES[:6] if teacher.spec.provider == "local" else QUERIES


def knows_only_its_own(teacher: Teacher) -> bool:
    return teacher.spec.provider in ("scripted", "recorded")


def ask(teacher: Teacher, query: Query, purpose: Purpose = Purpose.LABEL, draw: int = 0) -> Reply:
    variables = {
        "query": query.text,
        "label": "x",
        "teacher_rationale": "r",
        "student_rationale": "s",
        "rationale": "r",
    }
    return asyncio.run(teacher.ask(Request(query, purpose, "system", "user", variables=variables, draw=draw)))


class Journal:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def emit(self, type_: str, **data: object) -> None:
        json.dumps(data)
        if type_ == "reply":
            self.seen.append(str(data["sample_id"]))


def test_a_spec_names_the_teacher_and_holds_no_key(teacher: Teacher) -> None:
    spec = dataclasses.asdict(teacher.spec)
    assert spec["name"] and spec["provider"] and spec["model"]
    assert spec["concurrency"] >= 1
    assert spec["key_variable"] is None
    assert not [name for name in spec if "key" in name and name != "key_variable"]
    assert teacher.spec == teacher.spec
    json.dumps(spec)


def test_most_replies_are_read_as_label_and_rationale(teacher: Teacher) -> None:
    queries = asked_of(teacher)
    parsed = [TASK.parse(query, ask(teacher, query).text) for query in queries]
    good = [reply for reply in parsed if reply is not None]
    assert len(good) >= len(queries) * 5 // 6
    assert all(reply.rationale and reply.label for reply in good)


def test_the_same_request_gets_the_same_reply(teacher: Teacher) -> None:
    for query in asked_of(teacher):
        first, second = ask(teacher, query), ask(teacher, query)
        assert (first.text, first.raw, first.finish_reason) == (second.text, second.raw, second.finish_reason)


def test_held_out_queries_are_answered_like_others(teacher: Teacher) -> None:
    assert ask(teacher, QUERIES[0], Purpose.EVALUATE).text == ask(teacher, QUERIES[0]).text


@pytest.mark.parametrize("purpose", [Purpose.LABEL, Purpose.EVALUATE])
def test_an_unknown_query_is_declined(teacher: Teacher, purpose: Purpose) -> None:
    if not knows_only_its_own(teacher):
        assert TASK.parse(make_query("Who wrote Faust?"), ask(teacher, make_query("Who wrote Faust?"), purpose).text)
        return
    with pytest.raises(TeacherError) as caught:
        ask(teacher, make_query("Who wrote Faust?"), purpose)
    assert caught.value.kind is ErrorKind.UNKNOWN_QUERY
    assert not caught.value.kind.stops_teacher


@pytest.mark.parametrize(
    ("purpose", "draw"), [(Purpose.COMPRESS, 0), (Purpose.CHECK, 0), (Purpose.GRADE, 0), (Purpose.LABEL, 1)]
)
def test_only_a_live_teacher_answers_what_it_has_not_seen(teacher: Teacher, purpose: Purpose, draw: int) -> None:
    if teacher.live:
        assert ask(teacher, QUERIES[1], purpose, draw).raw
    else:
        with pytest.raises(TeacherError) as caught:
            ask(teacher, QUERIES[1], purpose, draw)
        assert caught.value.kind is ErrorKind.UNKNOWN_QUERY


def test_a_teacher_labels_a_set_and_declines_what_is_not_its_own(teacher: Teacher) -> None:
    journal = Journal()
    queries = [*asked_of(teacher), make_query("Who wrote Faust?")]
    work = LabelWork(TASK, load_prompt("teacher", "custom"), queries, [teacher])
    counts = asyncio.run(label(work, journal))
    declined = int(knows_only_its_own(teacher))
    assert counts.declined == declined
    assert counts.samples + counts.failures == len(queries) - declined == len(set(journal.seen))
    again = dataclasses.replace(work, known=frozenset(journal.seen))
    assert asyncio.run(label(again, Journal())) == LabelCounts(0, 0, declined)


def test_live_is_told_by_kind() -> None:
    assert ScriptedTeacher("forward").live
    assert not recorded().live


def test_a_local_model_tells_its_label_s_log_prob_and_can_be_asked_for_grades(local_model: Path) -> None:
    from tests.fakes.local_teacher import LocalTeacher

    own = LocalTeacher(TeacherSpec("own", "local", str(local_model)))
    reply = own.tell(Request(QUERIES[0], Purpose.LABEL, "system", "user"))
    assert reply["sample"]["label"] == "7" and -1 < reply["evidence"][LOG_PROB] < 0, "it was taught to be sure of it"
    graded = own.tell(Request(QUERIES[0], Purpose.GRADE, "system", "user"))
    assert (graded["error"], graded["purpose"]) == ("unparsable", "grade") and "sample" not in graded


def test_a_recording_without_an_answer_is_read_like_a_live_reply() -> None:
    query = QUERIES[0]
    teacher = RecordedTeacher("ann", {query.id: Recording("", None, "I add.\nAnswer: 12")})
    assert ask(teacher, query) == Reply("I add.\nAnswer: 12", "I add.\nAnswer: 12")


def test_a_recording_from_another_file_is_another_teacher() -> None:
    assert recorded().spec != dataclasses.replace(recorded(), source="otherhash").spec
