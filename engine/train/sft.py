"""The one training loop: TRL's SFTTrainer on a PEFT adapter, for whatever stage. Import only inside a worker."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import BitsAndBytesConfig, TrainerState, set_seed
from trl import SFTConfig, SFTTrainer

from engine.config import StudentConfig, TrainConfig
from engine.datasets.encode import IGNORED, Encoded, count_updates, order_rows, split_validation
from engine.errors import MissingPart, StateError
from engine.inference.writer import Device, load_base, load_tokenizer, pick_device
from engine.losses import LOSSES, Loss
from engine.losses.likelihood import LIKELIHOOD
from engine.ports import EventSink
from engine.train.activations import fit_activations
from engine.train.batches import share_batch
from engine.train.callback import ReportToEvents, last_complete_checkpoint
from engine.train.quick import QuickPass, open_quick_pass
from engine.values import StageRow

RESULT_FILE = "result.json"
_PAD_TO = 16
"""On the CPU kernels are prepared anew for every shape; few widths keep them prepared."""


@dataclass(frozen=True)
class StageJob:
    """What one run of the loop needs: rows, settings, where it starts from and where its adapter goes."""

    name: str
    student: StudentConfig
    train: TrainConfig
    rows: tuple[StageRow, ...]
    start: Path | None
    folder: Path


@dataclass(frozen=True)
class StageResult:
    """What came of it. `finished` is False if it was asked to stop; then it goes on from its checkpoint next time."""

    finished: bool
    updates: int
    train_rows: int
    validation_rows: int
    dropped: int
    tokens: int
    first_loss: float | None
    final_loss: float | None
    validation_loss: float | None


class CompletionTrainer(SFTTrainer):
    """SFTTrainer that, on the CPU, takes the quick pass: no padding, and a head only where there is a loss.

    The same mean negative log-likelihood; the head of a small student is as large as all its layers, and half of the
    positions are prompt. Elsewhere TRL's own fused loss runs. `loss` may make something else of it.
    """

    loss: Loss = LOSSES.get(LIKELIHOOD)
    _looked: bool = False
    _quick: QuickPass | None = None

    def learn(self, loss: Loss) -> None:
        """Minimise another loss; one by parts is told which part each row of a batch is of."""
        self.loss = loss
        if loss.by_part:
            self.args.remove_unused_columns = False
            self.data_collator: Any = _with_parts(self.data_collator)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The stage's loss; by default the mean over the completion's tokens (of the whole accumulated batch where its
        size is given).
        """
        if return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        more: dict[str, Any] = {}
        if self.loss.by_part:
            inputs = dict(inputs)
            more = {"part": inputs.pop("part"), "token_losses": lambda: self._token_losses(model, inputs)}
        return self.loss.of(model, {**inputs, **more}, lambda: self._likelihood(model, inputs, num_items_in_batch))

    def _token_losses(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-likelihood of each learned token, (T,), and the row it stands in, (T,)."""
        quick = self._find_quick_pass(model, inputs)
        if quick is not None:
            return quick.token_losses(inputs)
        targets_BL = inputs["labels"][:, 1:]
        taken_BL = targets_BL != IGNORED
        out = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        logits_TV = out.logits[:, :-1][taken_BL].float()
        losses_T = torch.nn.functional.cross_entropy(logits_TV, targets_BL[taken_BL], reduction="none")
        return losses_T, taken_BL.nonzero()[:, 0]

    def _likelihood(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any) -> Any:
        quick = self._find_quick_pass(model, inputs)
        if quick is None:
            return super().compute_loss(model, inputs, False, num_items_in_batch)
        losses_T, _ = quick.token_losses(inputs)
        count = len(losses_T) if num_items_in_batch is None else num_items_in_batch
        return losses_T.sum() / torch.as_tensor(count).clamp(min=1)

    def _find_quick_pass(self, model: Any, inputs: dict[str, Any]) -> QuickPass | None:
        """The quick pass, where this model has it: on the CPU, and found once, on the first batch."""
        if not self._looked:
            self._looked = True
            if self.args.device.type == "cpu":
                self._quick = open_quick_pass(self.accelerator.unwrap_model(model), inputs)
        return self._quick

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> Any:
        """Validation needs the loss alone."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad():
            return self.compute_loss(model, inputs).detach(), None, None


def _with_parts(collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> Any:
    """The batches of a collator, with the part of each row, (B,)."""

    def collate_with_parts(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {**collate(rows), "part": torch.tensor([row["part"] for row in rows])}

    return collate_with_parts


def train_stage(job: StageJob, sink: EventSink, stop: Callable[[], bool]) -> StageResult:
    """Train one stage; resume from its last complete checkpoint where there is one.

    Continues the adapter of `job.start` with a fresh optimizer and schedule, or makes a new adapter. Rows longer than
    `max_tokens` are dropped and counted, never cut. The finished adapter stands in `job.folder/adapter`.

    Raises:
        StateError: if no row is left to train on.
        ConfigError: if the batch can't be shared equally by the processes of a distributed training.
    """
    done = job.folder / "adapter" / RESULT_FILE
    if done.exists():
        return StageResult(**json.loads(done.read_text("utf-8")))
    each = share_batch(job.train.batch_size, int(os.environ.get("WORLD_SIZE", "1")))
    set_seed(job.student.seed)
    device = pick_device()
    tokenizer = load_tokenizer(job.student)
    rows = _encode_rows(job, tokenizer)
    sink.emit("rows", step=job.name, train=len(rows.train), validation=len(rows.validation), dropped=rows.dropped)
    model = open_adapter(job, device)
    updates = count_updates(job.train, [len(row.input_ids) for row in rows.train], job.student.seed)
    order = order_rows(len(rows.train), job.train.batch_size, updates, job.student.seed)
    per_update = sum(len(rows.train[index].input_ids) for index in order) / updates
    by_part = LOSSES.get(job.train.loss).by_part
    keeps = fit_activations(model, rows.train, each, tokenizer.pad_token_id, device.name)
    trainer = CompletionTrainer(
        model=model,
        args=_arguments(job, device, updates, bool(rows.validation), each, keeps),
        train_dataset=_as_dataset([rows.train[index] for index in order], by_part),
        eval_dataset=_as_dataset(rows.validation, by_part) if rows.validation else None,
        processing_class=tokenizer,
        callbacks=[ReportToEvents(sink, job.name, per_update, stop)],
    )
    trainer.learn(LOSSES.get(job.train.loss))
    checkpoint = last_complete_checkpoint(job.folder / "checkpoints")
    if checkpoint is not None:
        sink.emit("resumed", step=job.name, update=int(checkpoint.name.split("-")[1]))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    result = _sum_up(trainer.state, rows, updates, per_update)
    if result.finished and trainer.is_world_process_zero():
        _save_adapter(model, tokenizer, job.folder, result)
    trainer.accelerator.wait_for_everyone()
    return result


def _sum_up(state: TrainerState, rows: _Rows, updates: int, tokens_per_update: float) -> StageResult:
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    validation_losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
    return StageResult(
        finished=state.global_step >= updates,
        updates=state.global_step,
        train_rows=len(rows.train),
        validation_rows=len(rows.validation),
        dropped=rows.dropped,
        tokens=int(tokens_per_update * state.global_step),
        first_loss=losses[0] if losses else None,
        final_loss=losses[-1] if losses else None,
        validation_loss=validation_losses[-1] if validation_losses else None,
    )


class _Rows(NamedTuple):
    train: list[Encoded]
    validation: list[Encoded]
    dropped: int


def _encode_rows(job: StageJob, tokenizer: Any) -> _Rows:
    """Rows to train on and rows withheld, without those that are too long."""
    train_rows, validation_rows = split_validation(job.rows, job.train.validation)
    train, dropped = _encode(tokenizer, train_rows, job.train)
    validation, validation_dropped = _encode(tokenizer, validation_rows, job.train)
    if not train:
        raise StateError(f"stage {job.name}: no row of {len(job.rows)} fits into {job.train.max_tokens} tokens")
    return _Rows(train, validation, dropped + validation_dropped)


def _encode(tokenizer: Any, rows: Sequence[StageRow], train: TrainConfig) -> tuple[list[Encoded], int]:
    loss = LOSSES.get(train.loss)
    encoded = [loss.encode(tokenizer, row, train.mask_prompt) for row in rows]
    if loss.by_part:
        names = sorted({row.part for row in rows} - {""})
        numbers = {"": 0, **{name: number for number, name in enumerate(names, 1)}}
        encoded = [replace(code, part=numbers[row.part]) for code, row in zip(encoded, rows, strict=True)]
        mixed = sorted(range(len(rows)), key=lambda place: rows[place].id)  # batches of validation hold all parts
        encoded = [encoded[place] for place in mixed]
    fitting = [row for row in encoded if len(row.input_ids) <= train.max_tokens]
    return fitting, len(encoded) - len(fitting)


def _as_dataset(rows: Sequence[Encoded], by_part: bool = False) -> Dataset:
    columns = {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}
    return Dataset.from_dict({**columns, "part": [row.part for row in rows]} if by_part else columns)


def open_adapter(job: StageJob, device: Device) -> Any:
    """The base model with the adapter that the stage goes on from, or a new one, ready to be trained."""
    quantization = hold_in_four_bits(device) if job.student.four_bit else None
    base = load_base(job.student, device.for_training, device.training_attention, quantization)
    if job.start is not None:
        return PeftModel.from_pretrained(base, str(job.start), is_trainable=True)
    lora = job.student.lora
    return get_peft_model(
        base,
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )


def hold_in_four_bits(device: Device) -> Any:
    """How a base is held in 4 bits: NF4, quantized twice, computed in the device's format (QLoRA, Dettmers et al. 2023,
    arXiv 2305.14314).

    Raises:
        MissingPart: if there is no GPU of NVIDIA, or no bitsandbytes.
    """
    if device.name != "cuda":
        raise MissingPart(
            "a base in 4 bits needs an NVIDIA GPU with CUDA, and torch finds none here; start a run without it"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingPart('a base in 4 bits needs the package bitsandbytes: pip install "tacit-studio[qlora]"')
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=device.dtype,
    )


def _arguments(
    job: StageJob, device: Device, updates: int, validate: bool, each: int | None = None, keeps: bool = False
) -> SFTConfig:
    """TRL's settings; `each` is how many rows of a batch one process takes (None: all of it), `keeps` whether its
    activations stay in a GPU's memory.
    """
    train = job.train
    return SFTConfig(
        output_dir=str(job.folder / "checkpoints"),
        max_steps=updates,
        per_device_train_batch_size=each or train.batch_size,
        per_device_eval_batch_size=train.batch_size,
        learning_rate=train.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(train.warmup * updates),
        weight_decay=0.0,
        max_length=None,
        packing=False,
        bf16=device.name == "cuda" and device.dtype == torch.bfloat16,
        fp16=device.name == "cuda" and device.dtype == torch.float16,
        use_cpu=device.name == "cpu",
        activation_checkpointing=device.name == "cuda" and not keeps,
        train_sampling_strategy="sequential",
        logging_steps=1,
        eval_strategy="steps" if validate else "no",
        eval_steps=max(1, updates // 4),
        save_strategy="steps",
        save_steps=train.save_every,
        save_total_limit=2,
        seed=job.student.seed,
        data_seed=job.student.seed,
        pad_to_multiple_of=_PAD_TO if device.name == "cpu" else None,
        report_to=[],
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )


def _save_adapter(model: Any, tokenizer: Any, folder: Path, result: StageResult) -> None:
    """Write adapter and result under another name first: a stage with an adapter is done, and not trained again."""
    part = folder / "adapter.part"
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    (part / RESULT_FILE).write_text(json.dumps(asdict(result)), "utf-8")
    part.rename(folder / "adapter")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
