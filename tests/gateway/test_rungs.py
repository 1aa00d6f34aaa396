"""Rungs as they are: a student's process, a students' server, a teacher under a cap with a ledger of its attempts."""

from __future__ import annotations

import asyncio
import json
import math
import shlex
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.gateway.requests import ApiError, ChatAsk
from app.gateway.rungs import Errand, RungReply
from app.gateway.service import Gateway, open_gateway
from app.gateway.settings import GatewaySettings
from app.gateway.students import ResidentStudent, ServedStudent, StudentWorker, find_log_prob, vllm_commands
from app.usecases.serving.ledger import read_ledger
from engine.config import StudentConfig, TeacherConfig, read_config
from engine.datasets.rows import student_prompt
from engine.errors import ConfigError, InputError, KeyMissing, StateError, TeacherError, WorkerFailed
from engine.serving.policy import Policy, StudentRung
from engine.tasks import get_task
from engine.values import Query, Token, make_query
from tests.fakes.clock import FakeTime
from tests.fakes.provider import KEY, Provider, open_chat, run_provider
from tests.fakes.rungs import TEACHER, make_policy, student

TASK = get_task("custom")
QUERY = make_query("Who?")


class FakeProcess:
    """A student's process that writes what it is told to, a token each `pace` seconds."""

    def __init__(self, *replies: dict[str, Any], pace: float = 0.0) -> None:
        self.replies, self.pace = replies, pace
        self.asked: list[dict[str, Any]] = []
        self.alive, self.patience_s, self.stopped, self.closed = True, 0.0, 0, False

    def ask(self, request: dict[str, Any], hindered: Any) -> Generator[dict[str, Any]]:
        if reason := hindered():
            raise StateError(reason)
        self.asked.append(request)
        try:
            for reply in self.replies:
                time.sleep(self.pace)
                yield reply
        except GeneratorExit:
            self.stopped += 1
            raise
        if not self.replies:
            raise StateError("gone")

    def close(self) -> None:
        self.closed = True


ANSWER = {
    "over": True,
    "text": "So. Answer: Tom",
    "tokens": 9,
    "read": 30,
    "log_prob": math.log(0.75),
    "finished": True,
}


def resident(process: FakeProcess, timeout_s: float = 5.0, **rung: Any) -> ResidentStudent:
    own = student("stage3").model_copy(update=rung)
    return ResidentStudent(own, TASK, Path("/a"), StudentWorker(process), timeout_s)  # type: ignore[arg-type]


def ask(rung: Any, query: Query = QUERY, errand: Errand | None = None) -> RungReply:
    async def once() -> RungReply:
        told: RungReply = await rung.ask(query, errand or Errand("r"))
        return told

    return asyncio.run(once())


def test_a_student_is_asked_as_it_was_trained_and_read_by_its_task() -> None:
    process = FakeProcess({"text": "So."}, ANSWER)
    told = ask(resident(process))
    (asked,) = process.asked
    assert (
        asked["prompt"] == student_prompt(TASK, QUERY, "answer") and asked["adapter"] == "/a" and asked["until"] == ""
    )
    assert (told.answer.label, told.rationale) == ("Tom", "So.") and told.answer.confidence == pytest.approx(0.75)
    assert (told.answer.usage.input_tokens, told.answer.usage.output_tokens, told.answer.dollars) == (30, 9, None)
    first = FakeProcess(ANSWER)
    ask(resident(first, prompt="direct", stops_behind_answer=True))
    assert first.asked[0]["until"] == "\n" and first.asked[0]["prompt"][1][1] == "direct: Who?"


def test_an_answer_without_a_label_or_a_log_prob_is_not_sure() -> None:
    assert ask(resident(FakeProcess({**ANSWER, "log_prob": None}))).answer.confidence == 0
    assert ask(resident(FakeProcess({**ANSWER, "text": "I really do not know what to say"}))).answer.confidence == -1


@pytest.mark.parametrize(
    ("process", "told"),
    [
        (FakeProcess(), "process ended"),
        (FakeProcess({"over": True, "error": "it may be too long"}), "too long"),
        (FakeProcess({"text": "a"}, {"text": "b"}, {"text": "c"}, ANSWER, pace=0.05), "took over 0 s"),
    ],
)
def test_a_student_that_fails_or_takes_too_long_is_told(process: FakeProcess, told: str) -> None:
    with pytest.raises(WorkerFailed, match=told):
        ask(resident(process, timeout_s=0.06))
    assert process.stopped == (told == "took over 0 s")


def test_a_student_that_nobody_waits_for_is_stopped_and_one_in_the_queue_is_never_asked() -> None:
    process = FakeProcess(*[{"text": "a"}] * 200, ANSWER, pace=0.02)
    rung = resident(process)

    async def hang_up() -> None:
        two = [asyncio.ensure_future(rung.ask(QUERY, Errand(name))) for name in "ab"]
        await asyncio.sleep(0.1)
        for task in two:
            task.cancel()
        await asyncio.gather(*two, return_exceptions=True)
        while not process.stopped:
            await asyncio.sleep(0.01)

    asyncio.run(hang_up())
    assert process.stopped == 1 and len(process.asked) == 1
    asyncio.run(rung.close())
    assert process.closed


def tokens(*pieces: tuple[str, float]) -> list[Token]:
    return [Token(text, logprob) for text, logprob in pieces]


def test_the_label_is_found_in_the_tokens_that_a_server_lists() -> None:
    listed = tokens((" So", -1), (".\n", -1), ("Answer", -1), (":", -1), (" T", -0.2), ("om", -0.4), ("<|im_end|>", -5))
    assert find_log_prob("So.\nAnswer: Tom", listed) == pytest.approx(-0.3)
    assert find_log_prob("So.\nAnswer: Ann", listed) is None, "they spell another text"
    assert find_log_prob("Answer: Tom", []) is None and find_log_prob("", listed) is None
    assert find_log_prob("I do not know", tokens(("I do not know", -1))) is None, "no label is stated"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


def test_a_students_server_is_asked_for_log_probs_under_the_rungs_own_name(provider: Provider) -> None:
    async def once() -> tuple[str, str, RungReply]:
        rung = ServedStudent(student("fake-small"), TASK, open_chat("openai", provider.url), "fake-small", 5.0, 2)
        other = ServedStudent(student("stage3"), TASK, open_chat("openai", provider.url), "stage3", 5.0, 2)
        notes = await rung.start(), await other.start()
        told = await rung.ask(QUERY, Errand("r"))
        await rung.close()
        await other.close()
        return *notes, told

    ready, missing, told = asyncio.run(once())
    assert ready == "" and "no model 'stage3'" in missing and "fake-large" in missing
    body = provider.seen[0].body
    assert body["model"] == "fake-small" and body["logprobs"] is True and body["temperature"] == 0
    assert body["messages"] == [{"role": role, "content": text} for role, text in student_prompt(TASK, QUERY, "answer")]
    assert told.answer.usage.output_tokens == 20 and told.answer.label == "B"


def hosted(url: str, **changes: Any) -> Policy:
    values = {
        "name": "ann",
        "provider": "openai",
        "model": "m",
        "endpoint": f"{url}/v1",
        "key_variable": "LOOPBACK_KEY",
        "input_price": 1.0,
        "output_price": 100.0,
        "max_tokens": 100,
    }
    teacher = read_config(TeacherConfig, values | changes)
    return make_policy(rungs=(TEACHER.model_copy(update={"teacher": teacher}),))


def opened(policy: Policy, folder: Path, **settings: Any) -> Gateway:
    return open_gateway(policy, read_config(GatewaySettings, {"no_key": True, **settings}), folder)


def ledger_of(workspace: Path, ended: bool = True) -> list[dict[str, Any]]:
    """What attempts came to, or the lines that announce them."""
    lines = [json.loads(line) for line in (workspace / "gateway/puzzles/ledger.jsonl").read_text().splitlines()]
    return [line for line in lines if ("sent" not in line) is ended]


def test_a_teacher_is_probed_once_asked_with_its_prompt_and_every_attempt_is_on_the_ledger(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    provider.faults["Is it B?"] = ["429 after"]

    async def twice() -> list[str]:
        notes = []
        for _ in range(2):
            gateway = opened(hosted(provider.url), tmp_path)
            try:
                notes += await gateway.start()
                answered = await gateway.answer(ChatAsk("Is it B?"))
                assert answered.content == "B" and answered.usage["completion_tokens"] == 20
                assert answered.details["dollars"] == pytest.approx(0.002, rel=0.1)
            finally:
                await gateway.close()
        return notes

    assert asyncio.run(twice()) == []
    probes = [seen for seen in provider.seen if "horse" in seen.user]
    assert len(probes) == 1 and len(provider.seen) == 4 and all("Is it B?" in seen.user for seen in provider.seen[1:])
    lines = ledger_of(tmp_path)
    assert [line["purpose"] for line in lines] == ["probe", "answer", "answer", "answer"]
    assert [line["error"] for line in lines] == [None, "rate_limit", None, None]
    assert [float(line["cost"]) > 0 for line in lines] == [True, False, True, True]
    assert KEY not in (tmp_path / "gateway/puzzles/ledger.jsonl").read_text()


def test_a_cap_on_money_holds_over_restarts(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)

    async def ask_until_capped() -> int:
        gateway = opened(hosted(provider.url), tmp_path, max_cost=0.03)
        answers = 0
        try:
            for number in range(20):
                try:
                    await gateway.answer(ChatAsk(f"query {number}?"))
                except ApiError as error:
                    assert error.status == 503
                    break
                answers += 1
        finally:
            await gateway.close()
        return answers

    first = asyncio.run(ask_until_capped())
    spent = sum(read_ledger(tmp_path / "gateway/puzzles").bounds.values())
    assert 3 < first < 20 and 0 < spent <= 0.03
    assert asyncio.run(ask_until_capped()) == 0, "what an earlier start spent counts"


def test_a_key_that_is_not_accepted_is_told_at_the_start(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOOPBACK_KEY", raising=False)
    with pytest.raises(KeyMissing, match="set LOOPBACK_KEY"):
        opened(hosted(provider.url), tmp_path)
    monkeypatch.setenv("LOOPBACK_KEY", "sk-wrong-key")

    async def start() -> None:
        gateway = opened(hosted(provider.url), tmp_path)
        try:
            await gateway.start()
        finally:
            await gateway.close()

    with pytest.raises(TeacherError, match="not accepted"):
        asyncio.run(start())


@pytest.mark.parametrize(
    ("change", "settings", "told"),
    [
        ({"rungs": (TEACHER.model_copy(update={"teacher": None}),)}, {}, "recorded teacher"),
        ({"rungs": (student("stage3").model_copy(update={"adapter": "runs/r/adapter"}), TEACHER)}, {}, "--workspace"),
        ({"rungs": (student("stage3").model_copy(update={"prompt": "explain-as"}), TEACHER)}, {}, "needs"),
        ({}, {"student_url": "http://127.0.0.1:9/v1", "student_model": ("other=x",)}, "no student rung other"),
        ({}, {"student_url": "http://user:pass@127.0.0.1:9/v1"}, "must not hold a key"),
        ({}, {}, "scripted teachers"),
    ],
)
def test_a_policy_that_cant_be_served_is_told_at_the_start(
    tmp_path: Path, change: dict[str, Any], settings: dict[str, Any], told: str
) -> None:
    with pytest.raises((ConfigError, InputError), match=told.replace("scripted teachers", "no scripted teacher 'ann'")):
        opened(make_policy(**change), tmp_path, **settings)


def test_a_cap_without_a_known_price_is_refused(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    policy = hosted(provider.url, input_price=None, output_price=None, model="nobody-knows-it")
    with pytest.raises(ConfigError, match="no price is known"):
        opened(policy, tmp_path, max_cost=1)


def test_vllm_is_told_one_base_and_all_adapters(tmp_path: Path) -> None:
    for name in ("stage1", "stage3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
    config = StudentConfig(model="me/base", lora={"rank": 24})  # type: ignore[arg-type]
    rungs = [
        StudentRung(system=name, student=config, adapter=name, rule={"kind": "confidence"})
        for name in ("stage3", "stage1")
    ]
    (command,) = vllm_commands(make_policy(rungs=(*rungs, TEACHER)), tmp_path)
    words = shlex.split(command)
    assert words[:3] == ["vllm", "serve", "me/base"] and "--enable-lora" in words
    place = words.index("--lora-modules")
    assert words[place + 1 : place + 3] == [f"stage3={tmp_path / 'stage3'}", f"stage1={tmp_path / 'stage1'}"]
    assert words[words.index("--max-lora-rank") + 1] == "32" and words[words.index("--max-loras") + 1] == "2"
    assert words[words.index("--generation-config") + 1] == "vllm"
    with pytest.raises(InputError, match="no student rung"):
        vllm_commands(make_policy(rungs=(TEACHER,)), tmp_path)


def test_threads_of_students_end_with_the_gateway() -> None:
    before = threading.active_count()
    rung = resident(FakeProcess(ANSWER))
    ask(rung)
    asyncio.run(rung.close())
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_caller_is_not_held_by_the_teachers_own_requests_a_minute(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two a minute held the third caller for a minute, and the next for a minute and a half."""
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    now = FakeTime()
    monkeypatch.setattr("app.gateway.teacher.CLOCK", now.clock)

    async def ask_often() -> list[Any]:
        gateway, outcomes = opened(hosted(provider.url, requests_per_minute=2), tmp_path), []
        try:
            await gateway.start()  # takes the one request that goes at once
            for seconds in (0, 19, 3, 0, 30):
                now.at += seconds
                outcomes.append(await asyncio.gather(gateway.answer(ChatAsk("Is it B?")), return_exceptions=True))
        finally:
            await gateway.close()
        return [outcome for (outcome,) in outcomes]

    first, second, third, fourth, fifth = asyncio.run(ask_often())
    assert [getattr(error, "status", None) for error in (first, second, third, fourth, fifth)] == [
        *(503, 503, None, 503, None),
    ]
    assert (first.retry_after_s, second.retry_after_s, fourth.retry_after_s) == (30, pytest.approx(11, abs=1), 30)
    assert "ann" in str(first) and len(provider.seen) == 3, "what was not sent is not asked"
    assert [line["purpose"] for line in ledger_of(tmp_path)] == ["probe", "answer", "answer"]


def test_a_caller_is_told_when_to_come_again_and_does_not_wait_for_a_provider(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Retry-After of nine minutes was nine silent minutes at the gateway."""
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    provider.faults["Is it B?"] = ["429 for long"]

    async def twice() -> list[ApiError]:
        gateway = opened(hosted(provider.url), tmp_path)
        errors = []
        try:
            await gateway.start()
            for _ in range(2):
                with pytest.raises(ApiError) as caught:
                    await gateway.answer(ChatAsk("Is it B?"))
                errors.append(caught.value)
        finally:
            await gateway.close()
        return errors

    began = time.monotonic()
    errors = asyncio.run(twice())
    assert time.monotonic() - began < 10
    assert [error.status for error in errors] == [503, 503]
    assert all(530 < (error.retry_after_s or 0) <= 540 for error in errors)
    assert len(provider.seen) == 2, "the test of its endpoint, and one request: the second one is not sent"
    lines = ledger_of(tmp_path)
    assert [line["purpose"] for line in lines] == ["probe", "answer"], "what was not sent stands on no ledger"
