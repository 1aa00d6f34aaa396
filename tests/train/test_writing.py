"""How a student writes: the most probable token each time, whatever its own settings say, and at little cost."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from engine.config import StudentConfig
from engine.datasets.encode import encode_prompt
from engine.inference.decode import Decoder, count_shared
from engine.inference.decoding import Decoding
from engine.inference.kernels import choose_math_kernels
from engine.inference.writer import Device, Writer, WriteRequest, find_stops, load_base, load_tokenizer, pick_device
from tests.fakes.tiny_student import CHATML, make_tiny_student, make_tokenizer

CPU = Device("cpu", torch.float32)
SYSTEM = ("system", "Answer in few words, and nothing but the answer.")


def load(folder: Path) -> tuple[Any, Any]:
    student = StudentConfig(model=str(folder))
    return load_base(student, CPU), load_tokenizer(student)


def asks(count: int = 7) -> list[WriteRequest]:
    return [WriteRequest(str(n), (SYSTEM, ("user", f"What is {n} + {n}{'?' * n}"))) for n in range(count)]


def most_probable(model: Any, ids: list[int], stops: frozenset[int], limit: int) -> list[int]:
    """Greedy writing as its definition reads: the whole text is read anew for each token."""
    written: list[int] = []
    while len(written) < limit and not (written and written[-1] in stops):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids + written])).logits[0, -1]
        written.append(int(logits.argmax()))
    return written


@pytest.mark.parametrize(
    ("machine", "kernels", "native", "expected"),
    [
        ("x86_64", True, ("_is_avx512_bf16_supported",), torch.bfloat16),
        ("AMD64", True, ("_is_amx_tile_supported",), torch.bfloat16),
        ("x86_64", True, (), torch.float32),
        ("x86_64", False, ("_is_avx512_bf16_supported",), torch.float32),
        ("aarch64", True, (), torch.bfloat16),
        ("aarch64", False, (), torch.float32),
    ],
)
def test_a_processor_that_would_emulate_bfloat16_works_in_float32(
    monkeypatch: pytest.MonkeyPatch, machine: str, kernels: bool, native: tuple[str, ...], expected: torch.dtype
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: kernels)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: kernels)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name in native)
    for api in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(api, "is_available", lambda: False)

    assert pick_device() == Device("cpu", expected, "eager")


def test_log_probs_are_the_model_s_own_and_their_pieces_spell_the_answer(tiny_student: Path) -> None:
    """In a batch where rows leave and join, and where tokens are drawn at another temperature."""
    model, tokenizer = load(tiny_student)
    torch.manual_seed(0)
    writer = Writer(model, tokenizer, 12, 3, temperature=1.5, top_p=0.9, logprobs=True)
    for generation in writer.write(asks()):
        assert len(generation.pieces) == generation.tokens
        spelled = "".join(piece.text for piece in generation.pieces)
        assert spelled.strip() == generation.text
    decoder = Decoder(model, Decoding(8, find_stops(model, tokenizer), 0, 1.5, 0.9))
    prompts = [encode_prompt(tokenizer, ask.prompt) for ask in asks()]
    for written in decoder.write(prompts, 3):
        prompt = prompts[written.place]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + written.ids])).logits[0, len(prompt) - 1 : -1].float()
        expected = logits.log_softmax(dim=-1)[range(len(written.ids)), written.ids]
        assert torch.allclose(torch.tensor(written.log_probs), expected, atol=1e-4)
    assert next(Writer(model, tokenizer, 4, 3).write(asks())).pieces == (), "where nobody asked there are none"


@pytest.fixture
def headstrong(tmp_path: Path) -> Path:
    """A student whose own settings ask for everything but the most probable token."""
    folder = make_tiny_student(tmp_path / "headstrong")
    settings = {"repetition_penalty": 3.0, "no_repeat_ngram_size": 2, "do_sample": True, "temperature": 5.0, "top_k": 3}
    (folder / "generation_config.json").write_text(json.dumps(settings | {"suppress_tokens": [40, 41]}))
    return folder


def test_greedy_is_the_most_probable_token_whatever_the_model_asks_for(headstrong: Path) -> None:
    model, tokenizer = load(headstrong)
    stops = find_stops(model, tokenizer)
    for generation in Writer(model, tokenizer, 24, 3).write(asks()):
        ids = encode_prompt(tokenizer, asks()[int(generation.query_id)].prompt)
        expected = most_probable(model, ids, stops, 24)
        assert generation.tokens == len(expected)
        assert generation.text == tokenizer.decode(expected, skip_special_tokens=True).strip()


def test_a_model_with_a_sliding_window_writes_the_most_probable_tokens_too(tmp_path: Path) -> None:
    folder = make_tiny_student(tmp_path / "sliding")
    tokenizer = make_tokenizer(CHATML)
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = MistralConfig(vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=16, sliding_window=512, **sizes)
    MistralForCausalLM(config).save_pretrained(folder)
    settings = {"repetition_penalty": 3.0, "suppress_tokens": [40, 41]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    model, tokenizer = load(folder)
    for generation in Writer(model, tokenizer, 12, 3).write(asks()):
        ids = encode_prompt(tokenizer, asks()[int(generation.query_id)].prompt)
        assert generation.tokens == len(most_probable(model, ids, find_stops(model, tokenizer), 12))


def test_an_answer_ends_at_the_template_s_end_the_tokenizer_s_or_the_model_s(tmp_path: Path) -> None:
    folder = make_tiny_student(tmp_path / "ends")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 5]}))
    model, tokenizer = load(folder)
    tokenizer.eos_token = "<|begin|>"
    named = {tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|begin|>")}
    assert find_stops(model, tokenizer) == named | {3, 5}


class Scripted(torch.nn.Module):
    """Stands for a model: row by row it writes the given tokens, and notes the shape of what it is asked."""

    def __init__(self, model: Any, script: dict[int, list[int]]) -> None:
        super().__init__()
        self.inner, self.config, self.device = model, model.config, model.device
        self.script, self.shapes = script, []

    def forward(self, **inputs: Any) -> Any:
        self.shapes.append(tuple(inputs["input_ids"].shape))
        out = self.inner(**inputs)
        first = inputs["attention_mask"].sum(dim=-1)
        for row, (ids, length) in enumerate(zip(inputs["input_ids"].tolist(), first.tolist(), strict=True)):
            key = ids[-1] if inputs["input_ids"].shape[1] > 1 else ids[0]
            out.logits[row, -1, self.script[key][length % len(self.script[key])]] = 1e6
        return out


def test_what_all_prompts_begin_with_is_read_once_and_rows_that_are_done_leave(tiny_student: Path) -> None:
    model, _ = load(tiny_student)
    shared = list(range(20, 60))
    scripted = Scripted(model, {100: [2], 101: [101], 7: [7]} | {n: [n] for n in range(20, 60)})
    decoder = Decoder(scripted, Decoding(6, frozenset([2]), 0), tuple(shared))
    prompts = [[*shared, 100], [*shared, 7, 101], [*shared, 100], [*shared, 100]]
    for _ in range(2):
        assert [(w.place, w.ids) for w in decoder.write(prompts, 4)] == [(0, [2]), (2, [2]), (3, [2]), (1, [101] * 6)]
    read = [(1, len(shared)), (4, 2), *[(1, 1)] * 5]
    assert scripted.shapes == [*read, *read[1:]]


FENCED = "\n```\nx = `1`\n```\nbecause"


@pytest.mark.parametrize(
    ("until", "text", "tokens"),
    [
        ("\n```", "```\nx = `1`\n```", 16),
        ("\n", "```", 5),
        ("1", "```\nx = `1", 11),
        ("no such", FENCED.strip(), 25),
        ("", FENCED.strip(), 25),
    ],
)
@pytest.mark.parametrize("plain", [True, False])
def test_an_answer_is_over_with_a_text_that_may_span_tokens(
    tiny_student: Path, monkeypatch: pytest.MonkeyPatch, until: str, text: str, tokens: int, plain: bool
) -> None:
    """A blank in front of the answer ends nothing, however the model's cache is kept. A byte is a token here."""
    model, tokenizer = load(tiny_student)
    ids = [*tokenizer.encode(FENCED, add_special_tokens=False), tokenizer.eos_token_id]
    left = iter(ids)
    monkeypatch.setattr("engine.inference.decode._has_plain_cache", lambda model: plain)

    def pick(self: Decoding, logits_BV: torch.Tensor, places: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([next(left)]), torch.zeros(1)

    monkeypatch.setattr(Decoding, "pick", pick)
    monkeypatch.setattr(model, "generate", lambda **given: write_forced(given, ids))
    (found,) = Writer(model, tokenizer, 60, 1, until=until).write(asks(1))
    assert (found.text, found.tokens, found.finished) == (text, tokens, True)


def write_forced(given: dict[str, Any], ids: list[int]) -> torch.Tensor:
    """What the library's loop does with a model that writes just these ids: it asks after each whether to stop."""
    rows = given["input_ids"]
    for token in ids:
        rows = torch.cat([rows, torch.tensor([[token]])], dim=1)
        if all(criterion(rows, None).all() for criterion in given["stopping_criteria"]):
            break
    return rows


def test_the_next_prompt_takes_the_place_of_one_that_is_done(tiny_student: Path) -> None:
    model, _ = load(tiny_student)
    scripted = Scripted(model, {100: [2], 101: [101], 102: [102]})
    decoder = Decoder(scripted, Decoding(3, frozenset([2]), 0))
    done = [(w.place, w.ids) for w in decoder.write([[100], [101], [100, 100], [102]], 2)]
    assert done == [(0, [2]), (2, [2]), (1, [101] * 3), (3, [102] * 3)]
    assert scripted.shapes == [(2, 1), (1, 1), (1, 2), *[(1, 1)] * 4], "no row is computed once it is done"


def test_the_shared_beginning_leaves_each_prompt_a_token() -> None:
    assert count_shared([]) == 0
    assert count_shared([[1, 2, 3], [1, 2, 4, 5], [1, 2, 3, 9]]) == 2
    assert count_shared([[1, 2], [1, 2]]) == 1
    assert count_shared([[1], [2]]) == 0


@pytest.mark.parametrize("rows", [2, 3, 13, 40])
def test_a_batch_changes_nothing_about_an_answer(tiny_student: Path, rows: int) -> None:
    """Random settings and an end that comes by chance make rows leave and others join at any time."""
    model, tokenizer = load(tiny_student)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(20 if "proj" in name else 1)  # what is written depends on what was read
    model.generation_config.eos_token_id = [220, 176, 132, 179]
    alone = {g.query_id: (g.text, g.tokens) for g in Writer(model, tokenizer, 60, 1).write(asks(40))}
    together = {g.query_id: (g.text, g.tokens) for g in Writer(model, tokenizer, 60, rows).write(asks(40))}
    assert alone == together
    assert len({tokens for _, tokens in alone.values()}) > 3


def test_an_answer_that_is_heard_as_it_grows_is_the_written_one(tiny_student: Path) -> None:
    model, tokenizer = load(tiny_student)
    heard: list[str] = []
    aloud = Writer(model, tokenizer, 16, 1).write_aloud(asks()[3].prompt, heard.append)
    (written,) = Writer(model, tokenizer, 16, 1).write([asks()[3]])
    assert (aloud.text, aloud.tokens) == (written.text, written.tokens)
    assert len(heard) == written.tokens


def test_answers_are_drawn_where_a_temperature_asks_for_it(tiny_student: Path) -> None:
    model, tokenizer = load(tiny_student)
    torch.manual_seed(0)
    drawn = {g.text for _ in range(3) for g in Writer(model, tokenizer, 12, 1, temperature=1.5).write(asks(1))}
    narrow = {
        g.text for _ in range(3) for g in Writer(model, tokenizer, 12, 1, temperature=1.5, top_p=1e-6).write(asks(1))
    }
    (greedy,) = Writer(model, tokenizer, 12, 1).write(asks(1))
    assert len(drawn) > 1 and narrow == {greedy.text}


@pytest.mark.parametrize("plain", [True, False])
def test_what_is_drawn_with_a_seed_hangs_on_the_prompt_alone(
    tiny_student: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    model, tokenizer = load(tiny_student)
    monkeypatch.setattr("engine.inference.decode._has_plain_cache", lambda model: plain)

    def write(rows: int) -> dict[str, str]:
        writer = Writer(model, tokenizer, 4, rows, temperature=1.5, seeded=True)
        return {g.query_id: g.text for g in writer.write(asks(3))}

    drawn, other = write(1), asks(3)[1]
    assert write(2) == drawn and len(set(drawn.values())) > 1
    aloud = Writer(model, tokenizer, 4, 1, temperature=1.5, seeded=True).write_aloud(other.prompt, lambda _: None)
    assert aloud.text == drawn[other.query_id]


def test_apple_s_device_trains_in_float32_and_writes_in_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device = pick_device()
    assert (device.name, device.dtype, device.for_training.dtype) == ("mps", torch.float16, torch.float32)


FIRST_PASS = """
import torch
from engine.inference.kernels import choose_math_kernels
choose_math_kernels()
angles = torch.arange(9984).float() * 0.37
angles = angles.reshape(4, -1)
print(int((torch.cos(angles) != torch.cos(angles)).sum()))
"""


@pytest.mark.parametrize("process", range(4))
def test_the_first_cosines_of_a_process_are_those_of_later_passes(process: int) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FIRST_PASS]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0"]


def test_a_student_is_loaded_after_the_kernels_are_chosen(tmp_path: Path) -> None:
    choose_math_kernels.cache_clear()
    load(make_tiny_student(tmp_path))
    assert choose_math_kernels.cache_info().currsize == 1
