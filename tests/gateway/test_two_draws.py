"""Agreement of two draws behind the gateway: a student is asked twice, in its process and behind a server."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

from app.gateway.answers import describe_in_headers
from app.gateway.requests import ChatAsk
from app.gateway.rungs import RungReply
from app.gateway.service import Answered
from engine.config import TeacherConfig
from engine.datasets.rows import student_prompt
from engine.second_draws import seed_of
from engine.serving.deferral import read_deferral
from tests.fakes.provider import run_provider
from tests.fakes.rungs import TEACHER, make_policy, student
from tests.gateway.test_rungs import ANSWER, QUERY, TASK, FakeProcess, ask, opened, resident

FORWARD = TEACHER.model_copy(
    update={"system": "forward", "teacher": TeacherConfig(name="forward", provider="scripted", model="m")}
)


class TwoDraws(FakeProcess):
    """Writes the first answer, and the second one where it is asked at a temperature."""

    def ask(self, request: dict[str, Any], hindered: Any) -> Generator[dict[str, Any]]:
        first, second = self.replies
        self.asked.append(request)
        yield second if "temperature" in request else first


def draw(first: dict[str, Any], second: dict[str, Any]) -> tuple[RungReply, list[Any]]:
    process = TwoDraws(first, second)
    rung = resident(process)
    rung.temperature = 0.4
    told = ask(rung)
    return told, [request.get("temperature") for request in process.asked]


def test_a_student_is_drawn_twice_where_its_rule_says_so() -> None:
    again = {**ANSWER, "text": "Hm. Answer: tom", "tokens": 11}
    told, asked = draw(ANSWER, again)
    assert told.answer.agrees is True and told.answer.label == "Tom" and asked == [None, 0.4]
    assert (told.answer.usage.input_tokens, told.answer.usage.output_tokens) == (60, 20), "both are counted"
    assert draw(ANSWER, {**again, "text": "Answer: Ann"})[0].answer.agrees is False
    told, asked = draw({**ANSWER, "text": "I really do not know what to say"}, again)
    assert told.answer.agrees is None and asked == [None], "what states no label is not drawn again"


def test_a_students_server_draws_twice_and_the_answer_says_whether_both_agree(tmp_path: Path) -> None:
    rule = read_deferral({"kind": "two-draws", "temperature": 0.6})
    twice = student("fake-small").model_copy(update={"rule": rule})

    async def once(url: str) -> Answered:
        gateway = opened(make_policy(rungs=(twice, FORWARD)), tmp_path, student_url=url)
        try:
            return await gateway.answer(ChatAsk("Who?"))
        finally:
            await gateway.close()

    with run_provider(key=None) as provider:
        answered = asyncio.run(once(f"{provider.url}/v1"))
    first, second = (seen.body for seen in provider.seen)
    assert (first["temperature"], second["temperature"]) == (0, 0.6) and "seed" not in first
    assert second["seed"] == seed_of(student_prompt(TASK, QUERY, "answer"))
    assert answered.details["rung"] == "fake-small" and answered.details["draws_agree"] is True
    assert answered.usage["completion_tokens"] == 40
    assert (b"x-tacit-draws-agree", b"true") in describe_in_headers(answered.details)


def test_a_student_that_stands_last_answers_once(tmp_path: Path) -> None:
    last = student("fake-small").model_copy(update={"rule": read_deferral({"kind": "two-draws"})})

    async def once(url: str) -> Answered:
        gateway = opened(make_policy(rungs=(last,)), tmp_path, student_url=url)
        try:
            return await gateway.answer(ChatAsk("Who?"))
        finally:
            await gateway.close()

    with run_provider(key=None) as provider:
        answered = asyncio.run(once(f"{provider.url}/v1"))
    assert len(provider.seen) == 1 and "draws_agree" not in answered.details
