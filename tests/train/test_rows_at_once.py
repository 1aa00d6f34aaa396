"""As many prompts are written at the same time as memory holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from engine.config import StudentConfig
from engine.inference import rows_at_once, writer
from engine.inference.read_alone import repeats_alone
from engine.inference.rows_at_once import count_token_bytes, find_free_memory, fit_rows
from engine.inference.writer import Device, Writer, WriteRequest, load_base, load_tokenizer

GIB = 2**30


@pytest.fixture(scope="module")
def model(tiny_student: Path) -> Any:
    return load_base(StudentConfig(model=str(tiny_student)), Device("cpu", torch.bfloat16))


def test_a_token_takes_what_the_model_s_own_cache_holds_of_it(model: Any) -> None:
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=torch.tensor([[1, 2, 3, 4, 5]]), past_key_values=cache, use_cache=True)

    held = sum(
        states.numel() * states.element_size() for layer in cache.layers for states in (layer.keys, layer.values)
    )

    assert count_token_bytes(model) == held / 5


def test_rows_are_as_many_as_fit_and_never_more_than_were_asked_for(model: Any) -> None:
    tokens = 1000
    row = 2 * tokens * (count_token_bytes(model) or 0) + 12 * model.config.vocab_size

    assert fit_rows(model, 48, tokens, 100 * row) == 48
    assert fit_rows(model, 48, tokens, int(12.6 * row)) == 10, "a fifth of what is free is left to others"
    assert fit_rows(model, 48, tokens, 0) == 1


def test_a_model_of_unknown_shape_writes_as_many_as_were_asked_for() -> None:
    class Config:
        def get_text_config(self) -> Config:
            return self

    class Model:
        config = Config()

    assert fit_rows(Model(), 48, 1000, 0) == 48


def test_a_control_group_s_limit_counts_where_it_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_at_once, "_GROUP", tmp_path)
    whole = find_free_memory("cpu")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("4096\n")

    assert whole == pytest.approx(find_free_memory("cpu"), abs=GIB) and whole > 0

    (tmp_path / "memory.max").write_text("1052672\n")

    assert find_free_memory("cpu") == 1048576


def test_where_little_is_free_the_same_answers_are_written_a_few_at_a_time(
    tiny_student: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [WriteRequest(str(n), (("user", f"What is {n} and {n}?"),)) for n in range(5)]
    writes = Writer(model.float(), load_tokenizer(StudentConfig(model=str(tiny_student))), 6, 4)
    plenty = {written.query_id: written.text for written in writes.write(asks)}
    assert writes.fit(asks) == 4
    monkeypatch.setattr(writer, "find_free_memory", lambda device: 0)

    assert writes.fit(asks) == 1
    assert {written.query_id: written.text for written in writes.write(asks)} == plenty


def test_an_answer_that_another_token_would_have_been_likelier_in_is_told(tiny_student: Path, model: Any) -> None:
    tokenizer = load_tokenizer(StudentConfig(model=str(tiny_student)))
    writes = Writer(model.float(), tokenizer, 6, 4, checked={"1", "3"})
    list(writes.write([WriteRequest(str(n), (("user", f"What is {n} and {n}?"),)) for n in range(5)]))
    prompt = [5, 6, 7]
    with torch.inference_mode():
        likeliest = int(model(input_ids=torch.tensor([prompt])).logits[0, -1].argmax())

    assert writes.repeated == {"1": True, "3": True}
    assert repeats_alone(model, prompt, [likeliest])
    assert not repeats_alone(model, prompt, [likeliest - 1])


def test_one_by_one_there_is_nothing_to_compare(tiny_student: Path, model: Any) -> None:
    writes = Writer(model.float(), load_tokenizer(StudentConfig(model=str(tiny_student))), 2, 1, checked={"0"})

    list(writes.write([WriteRequest("0", (("user", "What?"),)), WriteRequest("1", (("user", "Why?"),))]))

    assert not writes.repeated
