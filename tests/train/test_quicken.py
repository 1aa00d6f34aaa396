"""A student whose modules were given quicker passes writes what it wrote before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from engine.config import StudentConfig
from engine.inference.quicken import quicken
from engine.inference.writer import Device, Writer, WriteRequest, load_base, load_student, load_tokenizer
from tests.fakes.tiny_student import CHATML, make_tiny_student

CPU = Device("cpu", torch.float32)
IDS = torch.tensor([[20, 31, 42, 53, 64], [75, 86, 97, 108, 119]])


def add_adapter(model: Any, name: str, seed: int) -> None:
    torch.manual_seed(seed)
    if name not in model.peft_config:
        model.add_adapter(name, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for key, weight in model.named_parameters():
        if f"lora_B.{name}" in key:
            torch.nn.init.normal_(weight, std=0.2)


def make_model(folder: Path, kind: str = "llama") -> PeftModel:
    """With two adapters that differ."""
    make_tiny_student(folder, CHATML, kind=kind)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    for seed, name in enumerate(("default", "other")):
        add_adapter(model, name, seed)
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        out: torch.Tensor = model(input_ids=IDS).logits
    return out


def logits_of_all(model: Any) -> list[torch.Tensor]:
    """Of one adapter, the other, both, none, and an adapter that has changed since."""
    found = []
    for names in ("default", "other", ["default", "other"], "default"):
        model.base_model.set_adapter(names)
        found.append(logits(model))
    with model.disable_adapter():
        found.append(logits(model))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_B.default" in key:
                weight.mul_(3.0)
    return [*found, logits(model)]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma"])
def test_whatever_adapters_are_on_it_computes_the_same(kind: str, tmp_path: Path) -> None:
    own = logits_of_all(make_model(tmp_path / "own", kind))
    quick = make_model(tmp_path / "quick", kind)
    changed = {type(module).__name__ for module in quicken(quick)}
    assert "Linear" in changed
    assert quicken(quick) == [], "a module is changed once"
    for mine, theirs in zip(logits_of_all(quick), own, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(own[0], own[1]) and not torch.allclose(own[0], own[-1])


def test_an_adapter_that_is_merged_is_not_added_twice(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    quicken(model)
    before = logits(model)
    model.merge_adapter()
    torch.testing.assert_close(logits(model), before, rtol=1e-4, atol=1e-5)
    model.unmerge_adapter()
    torch.testing.assert_close(logits(model.merge_and_unload()), before, rtol=1e-4, atol=1e-5)


def test_a_writer_writes_the_same_with_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(tmp_path / "student").save_pretrained(tmp_path / "adapters")
    student = StudentConfig(model=str(tmp_path / "student"))
    asks = [WriteRequest(str(n), (("user", f"What is {n}{'?' * n}"),)) for n in range(6)]

    def write() -> dict[str, str]:
        model = load_student(student, tmp_path / "adapters", CPU)
        torch.manual_seed(0)
        writer = Writer(model, load_tokenizer(student), 12, 4, temperature=1.0)
        return {generation.query_id: generation.text for generation in writer.write(asks)}

    quick = write()
    monkeypatch.setattr("engine.inference.writer.quicken", lambda model: [])
    assert quick == write() and len(set(quick.values())) > 1


def test_the_head_gets_the_last_positions_without_gaps(tiny_student: Path) -> None:
    """Cut out of all positions, torch would copy the head's weights once for each row."""
    model = load_base(StudentConfig(model=str(tiny_student)), CPU)
    gaps: list[bool] = []
    model.lm_head.register_forward_pre_hook(lambda module, args: gaps.append(not args[0].is_contiguous()))
    with torch.inference_mode():
        model(input_ids=IDS, logits_to_keep=1)
    assert gaps == [False]
