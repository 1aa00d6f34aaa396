"""The gateway as its callers see it: one form of answer whichever rung gave it, clear refusals, no key no answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

from app.gateway.server import MOST_BODY, build_server
from app.gateway.service import Gateway
from app.usecases.serving.folder import gateway_folder
from app.usecases.serving.keys import make_key, read_keys, revoke_key
from engine.errors import ErrorKind, InputError, TeacherError, WorkerFailed, WorkspaceBusy
from tests.fakes.rungs import FakeRung, close_all, make_gateway, make_policy, student
from tests.fakes.serving import serve


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


OWN = "http://127.0.0.1:8800"


def client(gateway: Gateway, heartbeat_s: float = 10.0) -> TestClient:
    return TestClient(build_server(gateway, heartbeat_s), base_url=OWN, raise_server_exceptions=False)


def asking(text: str = "Who?", **more: Any) -> dict[str, Any]:
    return {"model": "tacit", "messages": [{"role": "user", "content": text}], **more}


def ask(gateway: Gateway, text: str = "Who?", headers: dict[str, str] | None = None, **more: Any) -> Any:
    body = json.dumps(asking(text, **more))  # escaped, so that half a character goes over the line too
    return client(gateway).post("/v1/chat/completions", content=body, headers=headers)


def pair(confidence: float = 0.9, **teacher: Any) -> tuple[FakeRung, FakeRung]:
    """A student that says A, and a teacher that says B."""
    ann = FakeRung("ann", label=lambda query: "B", confidence=0.0, **{"dollars": 0.25, **teacher})
    return FakeRung("stage3", confidence=confidence), ann


def test_a_student_that_is_sure_answers_alone(tmp_path: Path) -> None:
    tom, ann = pair()
    got = ask(make_gateway(tmp_path, tom, ann))
    body = got.json()
    assert got.status_code == 200 and body["object"] == "chat.completion" and body["model"] == "tacit"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "A", "refusal": None}
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    assert body["tacit"]["rung"] == "stage3" and body["tacit"]["asked"] == ["stage3"] and body["tacit"]["dollars"] == 0
    assert got.headers["x-tacit-rung"] == "stage3" and got.headers["x-tacit-fallback"] == "false"
    assert float(got.headers["x-tacit-confidence"]) == 0.9 and ann.asked == []


def test_one_that_is_not_sure_asks_the_teacher_and_all_tokens_are_counted(tmp_path: Path) -> None:
    got = ask(make_gateway(tmp_path, *pair(0.3), content="full")).json()
    assert got["choices"][0]["message"]["content"] == "So.\nAnswer: B"
    assert got["usage"]["total_tokens"] == 30 and got["tacit"]["asked"] == ["stage3", "ann"]
    assert got["tacit"]["dollars"] == 0.25


@pytest.mark.parametrize(("wasted", "dollars"), [((0.25, 0.5), 0.75), ((0.25, None), None)])
def test_what_a_teacher_billed_that_failed_is_told(
    tmp_path: Path, wasted: tuple[float | None, ...], dollars: float | None
) -> None:
    tom, ann = pair(0.3, fails=TeacherError(ErrorKind.SERVER, "oops"), wasted=wasted)
    gateway = make_gateway(tmp_path, tom, ann)
    got = ask(gateway).json()
    assert got["tacit"]["fallback"] and got["tacit"]["dollars"] == dollars == gateway.recorder.show().dollars
    assert got["usage"] == {"prompt_tokens": 16, "completion_tokens": 7, "total_tokens": 23}
    ann.fails = None
    got = ask(gateway).json()
    assert got["tacit"]["rung"] == "ann" and got["tacit"]["dollars"] == (None if dollars is None else dollars + 0.25)
    assert got["usage"]["total_tokens"] == 38


def test_a_rung_can_be_named(tmp_path: Path) -> None:
    tom, ann = pair()
    gateway = make_gateway(tmp_path, tom, ann)
    assert ask(gateway, model="ann").json()["choices"][0]["message"]["content"] == "B" and tom.asked == []
    assert ask(gateway, model="puzzles").json()["tacit"]["rung"] == "stage3"
    names = [model["id"] for model in client(gateway).get("/v1/models").json()["data"]]
    assert names == ["tacit", "puzzles", "stage3", "ann"]


@pytest.mark.parametrize("how", ["metadata", "header"])
def test_the_kind_of_a_query_decides_where_the_rule_is_by_kind(tmp_path: Path, how: str) -> None:
    rule = {"kind": "kind", "kinds": ["sums"]}
    policy = make_policy(rungs=(student("stage3").model_copy(update={}), make_policy().rungs[1]))
    policy = make_policy(rungs=({**policy.rungs[0].model_dump(), "rule": rule}, policy.rungs[1]))
    gateway = make_gateway(tmp_path, *pair(), policy=policy)

    def rung_for(kind: str) -> str:
        given = {"metadata": {"kind": kind}} if how == "metadata" else {"headers": {"X-Tacit-Kind": kind}}
        return str(ask(gateway, **given).json()["tacit"]["rung"])

    assert rung_for("sums") == "stage3" and rung_for("orders") == "ann"
    assert ask(gateway).json()["tacit"]["rung"] == "ann"


def test_what_stands_before_the_query_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    tom, ann = pair()
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": [{"type": "text", "text": "Who?"}]},
    ]
    got = ask(make_gateway(tmp_path, tom, ann), messages=turns, temperature=0.7)
    assert tom.asked == ["Who?"]
    assert got.json()["tacit"]["ignored"] == ["system message", "earlier turns", "temperature"]
    assert got.headers["x-tacit-ignored"] == "system message, earlier turns, temperature"


IMAGE = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "http://x"}}]


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"messages": [{"role": "user", "content": IMAGE}]}, 400, "image_url"),
        ({"messages": [{"role": "user", "content": [{"type": "\ud800", "text": "?"}]}]}, 400, "only text"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "empty"),
        ({"messages": [{"role": "assistant", "content": "A"}]}, 400, "last message"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 32_001}]}, 400, "characters"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"n": 2}, 400, "one answer"),
        ({"logprobs": True}, 400, "log-probs"),
        ({"response_format": {"type": "json_object"}}, 400, "plain text"),
        ({"stream": "yes"}, 400, "true or false"),
        ({"metadata": {"kind": 3}}, 400, "kind"),
        ({"model": "gpt-4o"}, 404, "there is no model"),
    ],
)
def test_what_cant_be_served_is_refused_in_openais_form(
    tmp_path: Path, change: dict[str, Any], status: int, told: str
) -> None:
    tom, ann = pair()
    got = ask(make_gateway(tmp_path, tom, ann), **change)
    error = got.json()["error"]
    assert got.status_code == status and told in error["message"] and set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error" and not tom.asked + ann.asked


def test_no_json_too_much_of_it_and_no_such_path(tmp_path: Path) -> None:
    own = client(make_gateway(tmp_path, *pair()))
    assert own.post("/v1/chat/completions", content=b"{no").json()["error"]["message"].startswith("the body is no JSON")
    assert own.post("/v1/chat/completions", content=b"x" * (MOST_BODY + 1)).status_code == 413
    assert own.get("/v1/chat/completions").status_code == 405
    assert own.post("/v1/embeddings", json={}).json()["error"]["code"] == "not_found"


def read_events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_an_answer_is_streamed_with_its_usage_at_the_end(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path, *pair(), content="full")
    got = ask(gateway, stream=True, stream_options={"include_usage": True})
    assert got.headers["content-type"].startswith("text/event-stream") and got.headers["x-tacit-rung"] == "stage3"
    *pieces, last = read_events(got.text)
    said = "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces)
    assert said == "So.\nAnswer: A" and pieces[-1]["choices"][0]["finish_reason"] == "stop"
    assert pieces[-1]["tacit"]["rung"] == "stage3"
    assert last["choices"] == [] and last["usage"]["total_tokens"] == 15 and ": waiting" not in got.text
    assert all(piece["usage"] is None for piece in pieces)


def test_a_caller_who_waits_hears_heartbeats_and_errors_as_events(tmp_path: Path) -> None:
    tom, ann = pair(0.3, seconds=0.1)
    gateway = make_gateway(tmp_path, tom, ann, when_teacher_fails="refuse")
    body = asking(stream=True)
    got = client(gateway, 0.03).post("/v1/chat/completions", json=body)
    assert got.text.startswith(": waiting for an answer\n\n") and read_events(got.text)[-1]["tacit"]["rung"] == "ann"
    assert "x-tacit-rung" not in got.headers
    ann.fails = TeacherError(ErrorKind.SERVER, "oops")
    got = client(gateway, 0.03).post("/v1/chat/completions", json=body)
    assert got.status_code == 200 and '"code": "teacher_failed"' in got.text


def test_a_dead_student_is_passed_over_and_a_dead_teacher_leaves_the_students_answer_marked(tmp_path: Path) -> None:
    tom, ann = pair(0.3)
    gateway = make_gateway(tmp_path, tom, ann)
    tom.fails = WorkerFailed("its process died")
    got = ask(gateway).json()
    assert got["tacit"]["rung"] == "ann" and got["tacit"]["failed"] == ["stage3"] and not got["tacit"]["fallback"]
    tom.fails, ann.fails = None, TeacherError(ErrorKind.AUTH, "the key was not accepted")
    got = ask(gateway)
    assert got.json()["choices"][0]["message"]["content"] == "A" and got.headers["x-tacit-fallback"] == "true"
    tom.fails = WorkerFailed("its process died")
    got = ask(gateway)
    assert got.status_code == 503 and got.json()["error"]["type"] == "server_error" and got.headers["retry-after"]
    meter = gateway.recorder.show()
    assert meter.fallbacks == 1 and meter.errors == {"no rung answered": 1} and meter.by_rung == {"ann": 1, "stage3": 1}


def test_the_log_holds_nothing_of_what_a_provider_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tom, ann = pair(0.3, fails=TeacherError(ErrorKind.BAD_REQUEST, "does not fit: 'a secret question?'"))
    got = ask(make_gateway(tmp_path, tom, ann), "a secret question?")
    assert got.status_code == 200 and "ann did not answer: bad_request" in caplog.text
    assert "secret" not in caplog.text + got.text


def test_an_operator_may_want_no_answer_that_is_not_sure(tmp_path: Path) -> None:
    tom, ann = pair(0.3, fails=TeacherError(ErrorKind.SERVER, "oops"))
    got = ask(make_gateway(tmp_path, tom, ann, when_teacher_fails="refuse"))
    assert got.status_code == 503 and "--when-teacher-fails" in got.json()["error"]["message"]


def test_where_nobody_states_a_label_there_is_none(tmp_path: Path) -> None:
    tom, ann = pair(0.3)
    tom.label = ann.label = lambda query: None
    tom.confidence = ann.confidence = -1.0
    got = ask(make_gateway(tmp_path, tom, ann))
    assert got.status_code == 502 and "could be read as a label" in got.json()["error"]["message"]


def test_callers_need_a_key_of_the_gateways(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="callers need a key"):
        build_server(make_gateway(tmp_path, *pair(), no_key=False))
    folder = gateway_folder(tmp_path, "keyed")
    key = make_key(folder, "billing")
    assert key.startswith("tacit-") and key not in (folder / "keys.json").read_text()
    own = client(make_gateway(tmp_path, *pair(), no_key=False, name="keyed"))
    assert own.get("/health").json() == {"status": "ok", "waiting": 0}
    for headers in ({}, {"Authorization": "Bearer nothing"}, {"Authorization": f"Basic {key}"}):
        got = own.post("/v1/chat/completions", json=asking(), headers=headers)
        assert got.status_code == 401 and got.json()["error"]["code"] == "invalid_api_key"
        assert own.get("/v1/tacit/meter", headers=headers).status_code == 401
    good = {"Authorization": f"Bearer {key}"}
    assert own.post("/v1/chat/completions", json=asking(), headers=good).status_code == 200
    with pytest.raises(InputError, match="already"):
        make_key(folder, "billing")
    revoke_key(folder, "billing")
    deadline = time.monotonic() + 5
    while own.get("/v1/models", headers=good).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_key_without_a_name_gets_the_first_number_that_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        make_key(tmp_path)
    revoke_key(tmp_path, "key 1")
    for _ in range(2):
        make_key(tmp_path)
    assert [key.name for key in read_keys(tmp_path)] == ["key 2", "key 1", "key 3"]


def test_no_page_from_elsewhere_and_no_name_of_a_stranger(tmp_path: Path) -> None:
    own = client(make_gateway(tmp_path, *pair(), allow_host=("gate.example",)))
    assert own.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421
    assert own.get("/v1/models", headers={"Host": "gate.example"}).status_code == 200
    assert own.get("/v1/models", headers={"Origin": "http://evil.example"}).status_code == 403
    assert own.get("/v1/models", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert own.get("/v1/models", headers={"Origin": OWN, "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_without_a_key_only_this_machine_is_served(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="other machines"):
        build_server(make_gateway(tmp_path, *pair(), host="0.0.0.0"))


def test_two_gateways_of_one_name_dont_share_a_folder(tmp_path: Path) -> None:
    make_gateway(tmp_path, *pair())
    with pytest.raises(WorkspaceBusy, match="another gateway named 'puzzles'"):
        make_gateway(tmp_path, *pair())


@contextmanager
def running(gateway: Gateway) -> Iterator[str]:
    with serve(build_server(gateway)) as url:
        yield url


def wait_for(true: Any) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_too_many_who_wait_are_told_when_to_come_again(tmp_path: Path) -> None:
    tom, ann = pair(seconds=0.0)
    tom.seconds, tom.width = 0.5, 1
    gateway = make_gateway(tmp_path, tom, ann, queue=1)
    with running(gateway) as url:
        sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0)

        def call() -> None:
            sdk.chat.completions.create(**asking())

        two = [threading.Thread(target=call) for _ in range(2)]
        for number, thread in enumerate(two, 1):
            thread.start()
            wait_for(lambda number=number: gateway.ladder.open["stage3"] == number)
        with pytest.raises(openai.RateLimitError) as refused:
            call()
        assert int(refused.value.response.headers["retry-after"]) >= 1 and refused.value.code == "overloaded"
        for thread in two:
            thread.join()
    assert gateway.recorder.show().by_rung == {"stage3": 2} and gateway.recorder.show().refused == 1


def test_a_caller_who_hangs_up_ends_the_work(tmp_path: Path) -> None:
    tom, ann = pair(0.3, seconds=30.0)
    gateway = make_gateway(tmp_path, tom, ann)
    with running(gateway) as url:
        sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0, timeout=0.5)
        with pytest.raises(openai.APITimeoutError):
            sdk.chat.completions.create(**asking())
        wait_for(lambda: ann.hung_up == 1 and gateway.ladder.open["ann"] == 0)
    assert gateway.recorder.tally.errors == {"hung up": 1}


def test_the_openai_sdk_speaks_with_it(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path, *pair(0.3))
    with running(gateway) as url:
        sdk = openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0)
        whole = sdk.chat.completions.create(**asking())
        assert whole.choices[0].message.content == "B" and whole.usage and whole.usage.total_tokens == 30
        assert whole.model_extra is not None and whole.model_extra["tacit"]["rung"] == "ann"
        raw = sdk.chat.completions.with_raw_response.create(**asking(metadata={"kind": "sums"}))
        assert raw.headers["x-tacit-rung"] == "ann"
        pieces = list(sdk.chat.completions.create(**asking(), stream=True, stream_options={"include_usage": True}))
        assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == "B"
        assert pieces[-1].usage is not None and pieces[-1].usage.completion_tokens == 10
        assert {model.id for model in sdk.models.list()} == {"tacit", "puzzles", "stage3", "ann"}
        with pytest.raises(openai.BadRequestError, match="one answer"):
            sdk.chat.completions.create(**asking(), n=2)
        with pytest.raises(openai.NotFoundError):
            sdk.chat.completions.create(**{**asking(), "model": "gpt-4o"})
