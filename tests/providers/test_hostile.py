"""What a hostile or broken endpoint can do, and what comes of it: an error by its name, and good answers kept."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
from collections.abc import Iterator
from typing import Any

import pytest

from engine.costs import Budget
from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import read_sample
from engine.ports import Request
from engine.teachers.answers import read_completion
from engine.teachers.caller import MAX_RAW, Caller
from engine.teachers.hosted import Capabilities, HostedTeacher
from engine.values import Purpose, Reply
from tests.fakes.provider import KEY, Provider, open_chat, run_provider
from tests.providers.test_faults import PROTOCOLS, QUERIES, TASK, Journal, ask_all, spec_for

ONCE = {"first_wait_s": 0.001, "attempts": 1}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[Provider]:
    with run_provider(key=None) as running:
        yield running


def attempt(protocol: str, provider: Provider, fault: str, **more: Any) -> dict[str, Any]:
    """The one attempt at a query that meets a fault; the five others are answered."""
    provider.faults["query 4?"] = [fault] * 9
    journal = Journal()
    ask_all(protocol, provider, journal, caller=Caller(**ONCE), concurrency=1, timeout_s=60.0, **more)
    (found,) = journal.of(4)
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_redirect_is_not_followed_and_says_where_it_points(
    protocol: str, provider: Provider, elsewhere: Provider
) -> None:
    provider.elsewhere = elsewhere.url.replace("127.0.0.1", "someone:pass@localhost")
    found = attempt(protocol, provider, "redirect")
    assert found["error"] == ErrorKind.REDIRECT and found["cost"] == "0"
    assert elsewhere.url.replace("127.0.0.1", "localhost") in found["message"]
    assert not any(secret in json.dumps(found) for secret in ("s3cret", "someone", "pass@"))
    assert elsewhere.seen == [] and len(provider.seen) == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_redirect_to_nowhere_is_told_all_the_same(protocol: str, provider: Provider) -> None:
    found = attempt(protocol, provider, "redirect nowhere")
    assert found["error"] == ErrorKind.REDIRECT and "points elsewhere" in found["message"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_redirected_requests_count_once_each(protocol: str, provider: Provider, elsewhere: Provider) -> None:
    provider.elsewhere = elsewhere.url
    provider.faults["query"] = ["redirect", *["500"] * 99]
    budget = Budget(max_requests=2)
    ask_all(protocol, provider, Journal(), caller=Caller(budget, **ONCE), concurrency=1, timeout_s=60.0)
    assert len(provider.seen) == budget.requests == 1 and elsewhere.seen == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_list_of_models_is_not_looked_for_elsewhere(protocol: str, provider: Provider, elsewhere: Provider) -> None:
    provider.elsewhere, provider.models_elsewhere = elsewhere.url, True

    async def names() -> list[str]:
        chat = open_chat(protocol, provider.url)
        try:
            return await chat.models()
        finally:
            await chat.close()

    with pytest.raises(TeacherError, match="points elsewhere") as caught:
        asyncio.run(names())
    assert caught.value.kind is ErrorKind.REDIRECT


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_streamed_request_is_not_redirected(protocol: str, provider: Provider, elsewhere: Provider) -> None:
    provider.elsewhere = elsewhere.url
    provider.faults["query"] = ["redirect"]
    kind = stream_one(protocol, provider)
    assert kind is ErrorKind.REDIRECT and elsewhere.seen == []


def stream_one(protocol: str, provider: Provider) -> ErrorKind | None:
    """What comes of one streamed request."""

    async def run() -> ErrorKind | None:
        chat = open_chat(protocol, provider.url)
        teacher = HostedTeacher(spec_for(protocol, timeout_s=60.0), chat, Capabilities(), hear=lambda text: None)
        try:
            await teacher.ask(Request(QUERIES[0], Purpose.PLAY, "s", "query 0?"))
        except TeacherError as error:
            return error.kind
        finally:
            await chat.close()
        return None

    return asyncio.run(run())


ERRORS = [
    ("error object", ErrorKind.SERVER, "The model is loading, try later"),
    ("error text", ErrorKind.SERVER, "The model is loading, try later"),
    ("error of its own", ErrorKind.SERVER, "The model is loading, try later"),
    ("error with a code", ErrorKind.RATE_LIMIT, "Slow down please"),
    ("error of a wrong key", ErrorKind.AUTH, "No such key"),
    ("bad gzip", ErrorKind.CONNECTION, "connection broke while the answer was read"),
    ("reset in gzip", ErrorKind.CONNECTION, "connection broke while the answer was read"),
    ("reset", ErrorKind.CONNECTION, "connection broke while the answer was read"),
    ("another label", ErrorKind.NOT_A_CHOICE, "'Z' is not among the choices (A, B)"),
    ("nine megabytes", ErrorKind.TRUNCATED, "over 8 MB unpacked"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("fault", "kind", "told"), ERRORS, ids=[fault for fault, *_ in ERRORS])
def test_a_fault_goes_by_its_name(protocol: str, fault: str, kind: ErrorKind, told: str, provider: Provider) -> None:
    found = attempt(protocol, provider, fault)
    assert found["error"] == kind and told in found["message"]
    assert "reached" not in found["message"] and "sample" not in found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_packed_answer_is_given_up_at_its_bound_while_it_is_read(protocol: str, provider: Provider) -> None:
    ask_all(protocol, provider, Journal(), timeout_s=60.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = attempt(protocol, provider, "bomb")
    assert found["error"] == ErrorKind.TRUNCATED and "over 8 MB unpacked" in found["message"]
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 100_000


KEPT = ["no usage", "usage is text", "usage of 10^30", "usage of 10^15", "usage of 10^5000", "usage is infinite"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("fault", KEPT)
def test_a_good_answer_is_kept_whatever_it_counts(protocol: str, fault: str, provider: Provider) -> None:
    found = attempt(protocol, provider, fault, input_price=1000.0, output_price=1000.0)
    assert found["error"] is None and found["sample"]["label"] == "B"
    assert found["cost"] is None
    assert all(count is None or 0 <= count <= 10**9 for count in found["usage"].values())


@pytest.mark.parametrize("fault", ["long reasoning", "long thought", "long prose"])
def test_nine_hundred_kilobytes_of_reasoning_cost_the_reasoning_and_not_the_answer(
    fault: str, provider: Provider
) -> None:
    found = attempt("openai", provider, fault)
    assert found["error"] is None and found["sample"]["label"] == "B"
    assert found["sample"]["rationale"] == "It must be B."
    assert len(found["raw"]) <= MAX_RAW and "characters of reasoning left out" in found["raw"]
    assert "100,000 are kept" in found["message"]
    again = read_sample(TASK, QUERIES[4], 0, Reply(found["raw"], found["raw"]))
    assert isinstance(again, dict) and again["label"] == "B"


@pytest.mark.parametrize(
    "reply",
    [
        "[" * 5000,
        '{"choices": [{"message": {"content": ' + "[" * 5000,
        '{"choices": [{"message": 7}]}',
        '{"choices": "abc"}',
        '{"choices": [null]}',
        "null",
        "[]",
        "\ud800",
        '{"error": {}}',
    ],
)
def test_no_body_is_more_than_an_error(reply: str) -> None:
    with pytest.raises(TeacherError) as caught:
        read_completion(reply, KEY)
    assert caught.value.kind is ErrorKind.NOT_JSON


ECHOES = {
    "slashes escaped": lambda key: key.replace("/", "\\/"),
    "unicode": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "base64": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "hex": lambda key: key.encode().hex(),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("echo", ECHOES)
def test_an_echoed_key_reaches_no_journal_in_any_dress(protocol: str, echo: str) -> None:
    key = "sk-echo/0123456789+abcdef"
    dressed = ECHOES[echo](key)
    with run_provider(key=key) as provider:
        provider.reason = lambda label: f"You sent {dressed}."
        provider.told = dressed
        provider.faults = {"query 1?": ["auth of this key"], "query 2?": ["error of this key"]}
        journal = Journal()
        counts = ask_all(protocol, provider, journal, key=key, caller=Caller(**ONCE), concurrency=1, timeout_s=60.0)
    written = json.dumps(journal.events)
    assert counts.samples >= 1 and "[key]" in written
    undone = written.replace("\\", "")
    for form in (key, key.encode().hex(), base64.b64encode(key.encode()).decode()[:20], ECHOES["base64"](key)[12:40]):
        assert form not in written and form not in undone
    assert ECHOES["unicode"](key).replace("\\", "") not in undone
