"""Log-probs of what a student writes: of each token in the model's own distribution, of an answer over its label."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from engine.config import StudentConfig
from engine.inference.decode import Decoder, Written, count_shared
from engine.inference.decoding import Decoding
from engine.inference.labels import find_label, find_log_prob, find_tokens
from engine.inference.writer import Device, Writer, WriteRequest, load_base, load_tokenizer
from tests.fakes.tiny_student import CHATML, make_tiny_student, make_tokenizer

CPU = Device("cpu", torch.float32)
PROMPTS = [[9, 9, *range(20, 24 + n)] for n in range(11)]


def load(folder: Path) -> tuple[Any, Any]:
    student = StudentConfig(model=str(folder))
    return load_base(student, CPU), load_tokenizer(student)


@pytest.fixture
def windowed(tmp_path: Path) -> Path:
    """A student whose cache can't be cut row by row: the library's own loop writes for it."""
    folder = make_tiny_student(tmp_path / "windowed")
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vocabulary = len(make_tokenizer(CHATML))
    config = MistralConfig(vocab_size=vocabulary, num_key_value_heads=1, head_dim=16, sliding_window=512, **sizes)
    MistralForCausalLM(config).save_pretrained(folder)
    return folder


def read_over(model: Any, prompt: Sequence[int], written: Written) -> list[float]:
    """The log-prob of each written token, by reading the whole text at once."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*prompt, *written.ids]])).logits[0].log_softmax(dim=-1)
    return [float(logits[len(prompt) + n - 1, token]) for n, token in enumerate(written.ids)]


@pytest.mark.parametrize("kind", ["tiny_student", "windowed"])
def test_each_token_has_the_log_prob_that_reading_the_text_gives(kind: str, request: pytest.FixtureRequest) -> None:
    model, tokenizer = load(request.getfixturevalue(kind))
    how = Decoding(9, frozenset([176, 132]), tokenizer.pad_token_id)
    decoder = Decoder(model.eval(), how, tuple(PROMPTS[0][: count_shared(PROMPTS)]))
    written = sorted(decoder.write(PROMPTS, 4))
    assert [w.place for w in written] == list(range(len(PROMPTS)))
    for prompt, each in zip(PROMPTS, written, strict=True):
        assert each.log_probs == pytest.approx(read_over(model, prompt, each), abs=1e-4)


def test_a_drawn_token_has_the_log_prob_of_the_model_not_of_the_temperature(tiny_student: Path, windowed: Path) -> None:
    model, tokenizer = load(tiny_student)
    torch.manual_seed(0)
    how = Decoding(9, frozenset(), tokenizer.pad_token_id, temperature=3.0, top_p=0.9)
    for each in Decoder(model.eval(), how).write(PROMPTS[:3], 3):
        assert each.log_probs == pytest.approx(read_over(model, PROMPTS[each.place], each), abs=1e-4)
    model, _ = load(windowed)
    assert [each.log_probs for each in Decoder(model.eval(), how).write(PROMPTS[:2], 2)] == [[], []]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("3 + 4 = 7.\nAnswer: 7", "7"),
        ("Answer: the red  fox \nbecause it is.", "the red  fox"),
        ("Answer: 1\nNo, Answer:  2  ", "2"),
        ("Answer:\n\ndef f():\n    return 1\n", "def f():\n    return 1"),
        ("Answer:", None),
        ("It is 7.", None),
        ("", None),
    ],
)
def test_the_label_is_what_follows_the_last_answer_line(text: str, label: str | None) -> None:
    found = find_label(text)
    assert (None if found is None else text[slice(*found)]) == label


def test_the_tokens_of_a_label_are_found_by_its_characters() -> None:
    pieces = ["3 €", "\nAns", "wer", ": 1", "2", "3\n", "so"]

    def decode(ids: Sequence[int]) -> str:
        return "".join(pieces[place] for place in ids)

    ids = list(range(len(pieces)))
    begin, end = find_label(decode(ids)) or (0, 0)
    assert decode(ids)[begin:end] == "123"
    assert find_tokens(decode, ids, begin, end) == range(3, 6), "a token that holds a part of it counts whole"
    log_probs = [-9.0, -9.0, -9.0, -0.1, -0.2, -0.6, -9.0]
    assert find_log_prob(decode, ids, log_probs) == (pytest.approx(-0.3), 3)
    assert find_log_prob(decode, ids, []) is None and find_log_prob(decode, ids[:2], log_probs) is None
    assert find_log_prob(decode, ids, [math.nan] * len(ids)) is None


@pytest.mark.parametrize("one_line", [False, True])
def test_an_answer_brings_the_find_log_prob_of_its_label(
    one_line: bool, tiny_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = load(tiny_student)
    texts = ["Answer: 4€\n" if one_line else "2 + 2 = 4\nAnswer: 4€", "no idea\n" if one_line else "no idea"]
    end = [] if one_line else [tokenizer.eos_token_id]
    ids = [tokenizer.encode(text, add_special_tokens=False) + end for text in texts]
    label = len("4€".encode())  # a byte is a token here

    def write(self: Decoder, prompts: Any, *_: Any, **__: Any) -> Iterator[Written]:
        for place in range(len(prompts)):
            behind = len(ids[place]) - 1 - label
            yield Written(place, ids[place], 0.1, [-8.0] * behind + [-0.5] * label + [-8.0])

    monkeypatch.setattr(Decoder, "write", write)
    writer = Writer(model, tokenizer, 40, 2, until="\n" if one_line else "")
    stated, none = writer.write([WriteRequest(f"{n}", (("user", f"What is {n}?"),)) for n in range(2)])
    assert stated.finished and stated.log_prob == pytest.approx(-0.5)
    assert stated.label_tokens == label and stated.label_log_prob == pytest.approx(-0.5 * label)
    assert none.finished and none.log_prob is None and none.label_tokens is None and none.label_log_prob is None
