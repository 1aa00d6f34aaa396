"""The pass that trains on the CPU is the model's own, without padding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from engine.datasets.encode import IGNORED
from engine.inference.layers import AdaptedLinear, GatedUnit, RootMeanSquareNorm, TokenLosses
from engine.train.packed import pack_rows
from engine.train.quick import QuickPass, open_quick_pass
from tests.fakes.tiny_student import CHATML, make_tiny_student

KINDS = ["llama", "qwen2", "qwen3", "mistral", "olmo2", "gemma", "gemma3_text"]


def make_model(folder: Path, kind: str = "llama", dropout: float = 0.0, **config: Any) -> Any:
    """A tiny student with an adapter that is not at its beginning any more."""
    make_tiny_student(folder, CHATML, kind=kind, **config)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base, lora).train()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return model


def make_batch(lengths: tuple[int, ...] = (23, 9, 40, 17)) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    width = 48
    ids = torch.randint(10, 200, (len(lengths), width), generator=generator)
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    labels = ids.masked_fill(mask == 0, IGNORED)
    labels[:, :5] = IGNORED
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": labels}


def own_losses(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    targets = batch["labels"][:, 1:]
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits[targets != IGNORED], targets[targets != IGNORED], reduction="none")


def gradients(model: Any, losses: torch.Tensor) -> torch.Tensor:
    weighted = losses @ torch.linspace(0.5, 1.5, len(losses))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    return torch.cat([part.flatten() for part in torch.autograd.grad(weighted, trained)])


def compare(model: Any, batch: dict[str, torch.Tensor]) -> QuickPass:
    """Open the quick pass and hold losses and gradients to the model's own."""
    own = own_losses(model, batch)
    own_gradients = gradients(model, own)
    quick = open_quick_pass(model, batch)
    assert quick is not None
    losses, rows = quick.token_losses(batch)
    taken = batch["labels"][:, 1:] != IGNORED
    assert rows.tolist() == taken.nonzero()[:, 0].tolist()
    torch.testing.assert_close(losses, own, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients(model, losses), own_gradients, rtol=1e-3, atol=1e-4)
    return quick


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_the_models_own_pass(kind: str, tmp_path: Path) -> None:
    assert compare(make_model(tmp_path / kind, kind), make_batch()).packs


def test_a_window_over_the_keys_is_kept(tmp_path: Path) -> None:
    narrow, wide = (make_model(tmp_path / str(size), "mistral", sliding_window=size) for size in (6, 4096))
    assert not torch.allclose(own_losses(narrow, make_batch()), own_losses(wide, make_batch()))
    assert compare(narrow, make_batch()).packs


def test_where_rows_would_run_into_each_other_they_stay_padded(tmp_path: Path) -> None:
    """A convolution runs on over the border of two rows; nothing of the model is changed then."""
    model = make_model(tmp_path / "lfm2", "lfm2", layer_types=["conv", "full_attention"])
    before = own_losses(model, make_batch())
    assert not compare(model, make_batch()).packs
    assert torch.equal(own_losses(model, make_batch()), before)


def test_dropout_on_the_weights_of_attention_is_not_left_out(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    for layer in model.get_base_model().model.layers:
        layer.self_attn.attention_dropout = 0.5
    quick = open_quick_pass(model, make_batch())
    assert quick is not None and not quick.packs
    assert not torch.equal(quick.token_losses(make_batch())[0], quick.token_losses(make_batch())[0])


def test_dropout_of_the_adapter_is_kept(tmp_path: Path) -> None:
    quick = open_quick_pass(make_model(tmp_path / "m", dropout=0.5), make_batch())
    assert quick is not None and quick.packs
    assert not torch.equal(quick.token_losses(make_batch())[0], quick.token_losses(make_batch())[0])


def test_a_head_that_is_trained_is_left_to_the_trainer(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    model.get_base_model().lm_head.weight.requires_grad_(True)
    assert open_quick_pass(model, make_batch()) is None


def test_rows_do_not_see_each_other(tmp_path: Path) -> None:
    quick = open_quick_pass(make_model(tmp_path / "m"), make_batch())
    assert quick is not None
    before, rows = quick.token_losses(make_batch())
    changed = make_batch()
    changed["input_ids"][1, :9] = 77
    after, _ = quick.token_losses(changed)
    torch.testing.assert_close(after[rows != 1], before[rows != 1])
    assert not torch.allclose(after[rows == 1], before[rows == 1])


def test_trying_it_leaves_no_trace_in_the_training(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    state = torch.random.get_rng_state()
    open_quick_pass(model, make_batch())
    assert torch.equal(state, torch.random.get_rng_state()) and model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert model.get_base_model().model.config._attn_implementation == "eager"


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_tokens_come_back_to_their_places(lengths: list[int]) -> None:
    width = max(lengths)
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    ids = torch.arange(1, mask.numel() + 1).view(mask.shape) * mask
    packed = pack_rows(ids, mask)
    assert packed.ids_N[: sum(lengths)].tolist() == ids[ids > 0].tolist()
    assert packed.place_N[: sum(lengths)].tolist() == [place for length in lengths for place in range(length)]
    states = torch.randn(len(packed.ids_N), 2, 3)
    padded = packed.spread(states)
    assert padded.shape == (len(lengths), width, 2, 3) and not padded[mask == 0].any()
    assert torch.equal(packed.gather(padded)[: sum(lengths)], states[: sum(lengths)])


def make_numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


WEIGHT = torch.linspace(-1, 1, 15, dtype=torch.float64).view(3, 5)
TARGETS = torch.tensor([0, 2, 1, 2, 0, 1, 0])
PASSES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "adapted": (lambda x, a, b: AdaptedLinear.apply(x, WEIGHT, WEIGHT[:, 0], a, b, 0.7), [(2, 4, 5), (2, 5), (3, 2)]),
    "norm": (lambda x: RootMeanSquareNorm.apply(x, WEIGHT[0], 1e-5), [(4, 5)]),
    "gate": (GatedUnit.apply, [(4, 5), (4, 5)]),
    "losses": (lambda x: TokenLosses.apply(x, WEIGHT, TARGETS), [(7, 5)]),
}


@pytest.mark.parametrize("name", PASSES)
def test_backward_passes_are_the_derivatives(name: str) -> None:
    """By finite differences, in double precision."""
    torch.manual_seed(3)
    function, shapes = PASSES[name]
    assert torch.autograd.gradcheck(function, tuple(make_numbers(*shape) for shape in shapes))


def test_losses_of_many_tokens_are_taken_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inference.layers._AT_ONCE", 2)
    hidden = make_numbers(7, 5)
    expected = torch.nn.functional.cross_entropy(hidden @ WEIGHT.t(), TARGETS, reduction="none")
    torch.testing.assert_close(TokenLosses.apply(hidden, WEIGHT, TARGETS), expected)
