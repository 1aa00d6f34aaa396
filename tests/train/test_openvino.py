"""OpenVINO writes what PyTorch writes, where PyTorch has no fast numbers; else PyTorch does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.config import LoraSettings, StudentConfig
from engine.inference import writers
from engine.inference.writer import Device, WriteRequest
from engine.inference.writers import WRITERS, WriterKind, WriterOrder, open_writer, openvino
from engine.inference.writers.openvino import OpenVinoWriter
from engine.registry import Registry
from tests.fakes.tiny_student import make_tiny_student
from tests.train.test_after_training import make_adapter
from tests.train.test_exports import MERGES

TOKENS, BATCH = 12, 8
ASKS = [WriteRequest(str(n), (("system", "Say it."), ("user", f"What is {n} + {n * n}?"))) for n in range(120)]


@pytest.fixture(autouse=True)
def _slow_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    for module in ("engine.inference.writers.openvino", "engine.inference.writers.pytorch"):
        monkeypatch.setattr(f"{module}.pick_device", lambda: Device("cpu", torch.float32))


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> WriterOrder:
    folder = tmp_path_factory.mktemp("openvino")
    model = make_tiny_student(folder / "model", merges=MERGES)
    student = StudentConfig(model=str(model), lora=LoraSettings(rank=4))
    return WriterOrder(student, make_adapter(model, folder / "adapter", 1), TOKENS, BATCH, logprobs=True)


def test_it_writes_what_pytorch_writes_of_the_same_adapter(order: WriterOrder) -> None:
    name, writer = open_writer(order, ASKS)
    plain_name, plain = open_writer(order, ASKS, "pytorch")
    assert (name, plain_name) == ("openvino", "pytorch")
    assert writer.fit(ASKS) == plain.fit(ASKS) == BATCH

    writer.checked = frozenset(["3", "77"])
    wrote = {generation.query_id: generation for generation in writer.write(ASKS)}
    expected = {generation.query_id: generation for generation in plain.write(ASKS)}

    assert wrote.keys() == expected.keys() and writer.repeated.keys() == {"3", "77"}
    same = [query for query in wrote if wrote[query].text == expected[query].text]
    assert len(same) >= 0.9 * len(ASKS), "weights are rounded to 16 bits"
    for query in same:
        assert (wrote[query].tokens, wrote[query].finished) == (expected[query].tokens, expected[query].finished)
        for ours, theirs in zip(wrote[query].pieces, expected[query].pieces, strict=True):
            assert ours.text == theirs.text and ours.logprob == pytest.approx(theirs.logprob, abs=0.05)
        assert wrote[query].latency_s > 0


def test_a_stop_ends_it_after_the_token_it_is_at(order: WriterOrder) -> None:
    wrote: list[Any] = []
    _, writer = open_writer(WriterOrder(order.student, None, TOKENS, BATCH, stop=lambda: bool(wrote)), ASKS)
    for generation in writer.write(ASKS):
        wrote.append(generation)

    assert 0 < len(wrote) <= BATCH


@pytest.mark.parametrize(
    "other",
    [{"temperature": 0.7}, {"until": "\n"}, {"student": StudentConfig(model="somewhere/student.gguf")}],
    ids=lambda other: next(iter(other)),
)
def test_what_it_can_t_write_pytorch_writes(order: WriterOrder, other: dict[str, Any]) -> None:
    changed = WriterOrder(**{**vars(order), **other})

    assert openvino._find_obstacle(changed)


def test_few_prompts_a_misread_student_and_a_fast_processor_are_left_to_pytorch(
    order: WriterOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_writer(order, ASKS[:10])[0] == "pytorch"
    with monkeypatch.context() as patch:
        patch.setattr(openvino, "read_log_probs", lambda model, prompt, written: [-30.0] * len(written))
        assert open_writer(order, ASKS)[0] == "pytorch"
    with monkeypatch.context() as patch:
        patch.setattr(openvino, "pick_device", lambda: Device("cpu", torch.bfloat16))
        assert open_writer(order, ASKS)[0] == "pytorch"
    with monkeypatch.context() as patch:
        patch.setattr(openvino, "find_free_memory", lambda device: 1000)
        assert "1,000 are free" in openvino._find_obstacle(order)
    with monkeypatch.context() as patch:
        patch.setattr(openvino, "find_spec", lambda package: None)
        assert "tacit-studio[openvino]" in openvino._find_obstacle(order)


def test_what_began_goes_on_where_it_still_can(order: WriterOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third writer in this file alone: of those that can write, the fastest does, but not in the middle of a step."""
    registry: Registry[WriterKind] = Registry("no-group", "writer")
    for name in WRITERS:
        registry.add(name, WRITERS[name])
    opened = OpenVinoWriter(None, None, None, order, 1)
    obstacles = [""]
    registry.add("fastest", WriterKind("A fake", 9, lambda order: obstacles[-1], lambda order, asks: opened))
    monkeypatch.setattr(writers.base, "WRITERS", registry)

    assert open_writer(order, ASKS) == ("fastest", opened)
    assert open_writer(order, ASKS, "openvino")[0] == "openvino"
    assert open_writer(order, ASKS, "gone") == ("fastest", opened)
    obstacles.append("it was taken out")
    assert open_writer(order, ASKS, "fastest")[0] == "openvino"
