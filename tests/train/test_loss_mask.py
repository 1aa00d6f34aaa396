"""The most valuable test of all: exactly which tokens each stage learns to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import LoraSettings, StudentConfig, TrainConfig
from engine.datasets.encode import Encoded, encode_row, end_token
from engine.datasets.full import rationale_rows
from engine.datasets.label import label_rows
from engine.datasets.rows import Example
from engine.inference.writer import pick_device
from engine.tasks import get_task
from engine.train.sft import CompletionTrainer, StageJob, _arguments, _as_dataset, open_adapter
from engine.values import StageRow, make_query
from tests.fakes.tiny_student import CHATML, LLAMA3, make_tiny_student, make_tokenizer

GOLDEN = Path(__file__).parents[1] / "goldens" / "loss_mask.json"
TEMPLATES: dict[str, str | None] = {"chatml": CHATML, "llama3": LLAMA3, "base": None}


def stage_rows() -> dict[str, list[StageRow]]:
    task = get_task("custom")
    query = make_query("2 + 2?")
    full = [Example(query, "s1", "Two and two.", "4")]
    short = [Example(query, "s1", "2+2", "4")]
    return {
        "stage1": rationale_rows(task, full),
        "stage2": rationale_rows(task, short),
        "stage3": label_rows(task, full),
    }


def learned_of(row: Encoded) -> dict[str, list[int]]:
    return {"input_ids": row.input_ids, "labels": row.labels}


def encode_all() -> dict[str, Any]:
    return {
        name: {
            stage: [learned_of(encode_row(make_tokenizer(template), row)) for row in rows]
            for stage, rows in stage_rows().items()
        }
        for name, template in TEMPLATES.items()
    }


def test_ids_and_labels_of_all_stages_and_templates_are_the_golden_ones() -> None:
    assert encode_all() == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_the_completion_and_its_end_are_learned(name: str) -> None:
    tokenizer = make_tokenizer(TEMPLATES[name])
    expected = {"stage1": "Two and two.\nAnswer: 4", "stage2": "2+2\nAnswer: 4", "stage3": "Answer: 4"}
    for stage, rows in stage_rows().items():
        row = encode_row(tokenizer, rows[0])
        learned = [label for label in row.labels if label != -100]
        assert tokenizer.decode(learned[:-1]) == expected[stage]
        assert learned[-1] == end_token(tokenizer)
        assert row.input_ids[-len(learned) :] == learned
        assert "2 + 2?" in tokenizer.decode(row.input_ids[: -len(learned)])


def test_the_end_is_what_the_template_writes_behind_an_answer() -> None:
    ends = {name: make_tokenizer(t).decode([end_token(make_tokenizer(t))]) for name, t in TEMPLATES.items()}
    assert ends == {"chatml": "<|im_end|>", "llama3": "<|eot|>", "base": "<|end|>"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_trainer_feeds_the_model_those_ids_and_labels(name: str, tmp_path: Path) -> None:
    folder = make_tiny_student(tmp_path / name, TEMPLATES[name])
    student = StudentConfig(model=str(folder), lora=LoraSettings(rank=2))
    rows = [row for rows in stage_rows().values() for row in rows]
    tokenizer = make_tokenizer(TEMPLATES[name])
    encoded = [encode_row(tokenizer, row) for row in rows]
    train = TrainConfig(updates=1, batch_size=len(rows), validation=0)
    job = StageJob("golden", student, train, tuple(rows), None, tmp_path / "run")
    trainer = CompletionTrainer(
        model=open_adapter(job, pick_device()),
        args=_arguments(job, pick_device(), 1, False),
        train_dataset=_as_dataset(encoded),
        processing_class=tokenizer,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    fed = {
        (tuple(ids[mask.bool()].tolist()), tuple(labels[mask.bool()].tolist()))
        for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True)
    }
    assert fed == {(tuple(row.input_ids), tuple(row.labels)) for row in encoded}
    assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()
