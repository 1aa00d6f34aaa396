"""A server of vLLM writes what PyTorch writes where one is named; where it does not, PyTorch does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import LoraSettings, StudentConfig
from engine.errors import StateError
from engine.inference.writer import Device, WriteRequest
from engine.inference.writers import WriterOrder, open_writer, vllm
from tests.fakes.tiny_student import make_tiny_student
from tests.fakes.vllm_server import VllmServer, is_folder, served
from tests.train.test_after_training import make_adapter
from tests.train.test_exports import MERGES

TOKENS, BATCH = 10, 6
ASKS = [WriteRequest(str(n), (("system", "Say it."), ("user", f"What is {n} + {n * n}?"))) for n in range(24)]


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> WriterOrder:
    folder = tmp_path_factory.mktemp("vllm")
    model = make_tiny_student(folder / "model", merges=MERGES)
    student = StudentConfig(model=str(model), lora=LoraSettings(rank=4))
    return WriterOrder(student, make_adapter(model, folder / "adapter", 1), TOKENS, BATCH, logprobs=True)


@pytest.fixture
def server(order: WriterOrder, monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmServer]:
    """A server of the base model, named by the variable; PyTorch computes in 32 bits here, whatever the machine."""
    torch.set_num_threads(1)
    monkeypatch.setattr("engine.inference.writers.vllm.time.sleep", lambda seconds: None)
    monkeypatch.setattr("engine.inference.writers.pytorch.pick_device", lambda: Device("cpu", torch.float32))
    with served(VllmServer(order.student.model)) as listening:
        monkeypatch.setenv(vllm.VARIABLE, listening.url)
        yield listening


def test_it_writes_what_pytorch_writes_of_the_same_adapter(order: WriterOrder, server: VllmServer) -> None:
    name, writer = open_writer(order, ASKS)
    assert name == "vllm" and writer.fit(ASKS) == BATCH
    (handed,) = server.loaded.values()
    assert is_folder(handed) and Path(handed).is_absolute()
    writer.checked = frozenset(["3", "11"])
    wrote = {generation.query_id: generation for generation in writer.write(ASKS)}
    expected = {generation.query_id: generation for generation in open_writer(order, ASKS, "pytorch")[1].write(ASKS)}

    assert wrote.keys() == expected.keys() and writer.repeated == {"3": True, "11": True}
    for query, ours in wrote.items():
        theirs = expected[query]
        assert (ours.text, ours.tokens, ours.finished) == (theirs.text, theirs.tokens, theirs.finished)
        assert [token.text for token in ours.pieces] == [token.text for token in theirs.pieces]
        assert [t.logprob for t in ours.pieces] == pytest.approx([t.logprob for t in theirs.pieces], abs=1e-3)
        assert ours.latency_s > 0
    assert {asked["temperature"] for asked in server.seen} == {0}


def test_an_adapter_is_handed_over_once_and_none_for_the_untrained_student(
    order: WriterOrder, server: VllmServer
) -> None:
    for _ in range(2):
        assert open_writer(order, ASKS)[0] == "vllm"
    assert len(server.loaded) == 1
    assert open_writer(WriterOrder(order.student, None, TOKENS, BATCH), ASKS)[0] == "vllm"
    assert len(server.loaded) == 1 and server.seen[-1]["model"] == "base"


def _serve_another_adapter(server: VllmServer, order: WriterOrder, folder: Path) -> None:
    server.swapped = str(make_adapter(Path(order.student.model), folder / "other", 2))


def _serve_another_base(server: VllmServer, order: WriterOrder, folder: Path) -> None:
    server.root = "somebody/else"


def _take_no_adapters(server: VllmServer, order: WriterOrder, folder: Path) -> None:
    server.takes_adapters = False


def _give_no_ids(server: VllmServer, order: WriterOrder, folder: Path) -> None:
    server.spoil = lambda choice: {**choice, "token_ids": None}  # type: ignore[method-assign]


def _fail(server: VllmServer, order: WriterOrder, folder: Path) -> None:
    server.fails = 99


@pytest.mark.parametrize(
    "misbehave", [_serve_another_adapter, _serve_another_base, _take_no_adapters, _give_no_ids, _fail]
)
def test_what_a_server_can_t_write_pytorch_writes(
    order: WriterOrder, server: VllmServer, tmp_path: Path, misbehave: Callable[[VllmServer, WriterOrder, Path], None]
) -> None:
    misbehave(server, order, tmp_path)
    assert open_writer(order, ASKS)[0] != "vllm"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "no address", "http://[::1"])
def test_a_server_that_is_not_there_is_left_alone(
    order: WriterOrder, server: VllmServer, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(vllm.VARIABLE, url)
    assert open_writer(order, ASKS)[0] != "vllm"


@pytest.mark.parametrize("other", [{"temperature": 0.7}, {"until": "\n"}, {"student": StudentConfig(four_bit=True)}])
def test_draws_and_answers_that_end_at_a_text_are_not_for_it(
    order: WriterOrder, server: VllmServer, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
) -> None:
    assert vllm._find_obstacle(WriterOrder(**{**vars(order), **other}))
    assert vllm._find_obstacle(order) == ""
    monkeypatch.delenv(vllm.VARIABLE)
    assert vllm.VARIABLE in vllm._find_obstacle(order)


def test_a_server_that_fails_for_a_while_is_asked_again_and_one_that_stays_away_is_told(
    order: WriterOrder, server: VllmServer
) -> None:
    _, writer = open_writer(order, ASKS)
    server.fails = 2
    assert len(list(writer.write(ASKS[:4]))) == 4
    server.fails = 10**6
    with pytest.raises(StateError, match=r"vLLM at http://127.* does not answer: it answers with 503.*resume the run"):
        list(writer.write(ASKS))


def test_an_answer_without_the_token_that_ended_it_is_refused(order: WriterOrder, server: VllmServer) -> None:
    _, writer = open_writer(order, ASKS)

    def cut(choice: dict[str, Any]) -> dict[str, Any]:
        return {**choice, "finish_reason": "stop", "token_ids": [0, 0], "logprobs": {"token_logprobs": [0.0, 0.0]}}

    server.spoil = cut  # type: ignore[method-assign]
    with pytest.raises(StateError, match="token that ended the answer is missing"):
        list(writer.write(ASKS[:1]))


def test_a_stop_ends_it_with_what_is_under_way(order: WriterOrder, server: VllmServer) -> None:
    wrote: list[Any] = []
    stopping = WriterOrder(order.student, None, TOKENS, BATCH, stop=lambda: bool(wrote))
    _, writer = open_writer(stopping, ASKS)
    for generation in writer.write(ASKS):
        wrote.append(generation)
    assert 0 < len(wrote) <= BATCH
