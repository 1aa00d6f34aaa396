"""Loads students and lets them write: base model plus adapter, batched by length. Import only inside a worker."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.config import StudentConfig
from engine.dataset import ChatText, encode_prompt, end_token
from engine.errors import MissingPart
from engine.packaged import packaged_student_file, packaged_student_folder
from engine.types import Generation


@dataclass(frozen=True)
class Device:
    """Where and in which number format the student runs, and which attention trains fastest there."""

    name: str
    dtype: torch.dtype
    training_attention: str = "sdpa"


def pick_device() -> Device:
    """CUDA in bfloat16 (float16 before Ampere), Apple's MPS in float16, else the CPU in bfloat16 where it has it.

    On the CPU the fused kernel's backward pass is slower than eager attention on short rows; writing is the reverse.
    """
    if torch.cuda.is_available():
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return Device("cuda", dtype)
    if torch.backends.mps.is_available():
        return Device("mps", torch.float16)
    return Device("cpu", torch.bfloat16 if _cpu_has_bfloat16() else torch.float32, "eager")


def _cpu_has_bfloat16() -> bool:
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def student_folder(student: StudentConfig) -> str:
    """The folder or Hub id of the base model; the packaged GGUF is converted to safetensors once and cached."""
    if student.model != "packaged":
        return student.model
    folder = packaged_student_folder()
    if not (folder / "config.json").is_file():
        _convert_packaged(folder)
    return str(folder)


def _convert_packaged(folder: Path) -> None:
    gguf = packaged_student_file()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    fresh.save_pretrained(part)
    tokenizer.save_pretrained(part)
    with contextlib.suppress(OSError):
        part.rename(folder)
    shutil.rmtree(part, ignore_errors=True)


def load_tokenizer(student: StudentConfig) -> Any:
    """The student's tokenizer, with a padding token.

    Raises:
        MissingPart: if it can't be loaded.
    """
    folder = student_folder(student)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, revision=student.revision)
    except (OSError, ValueError) as error:
        raise MissingPart(f"the student {student.model} can't be loaded: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(student: StudentConfig, device: Device, attention: str = "sdpa") -> Any:
    """The student without any adapter, on its device.

    Raises:
        MissingPart: if it can't be loaded.
    """
    folder = student_folder(student)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, revision=student.revision, dtype=device.dtype, attn_implementation=attention
        )
    except (OSError, ValueError) as error:
        raise MissingPart(f"the student {student.model} can't be loaded: {error}") from error
    return model.to(device.name)


def load_student(student: StudentConfig, adapter: Path | None, device: Device) -> Any:
    """The base model, with an adapter on top where one is given; merging would round small updates off in bfloat16."""
    base = load_base(student, device)
    return base if adapter is None else PeftModel.from_pretrained(base, str(adapter))


@dataclass(frozen=True)
class Ask:
    """One prompt for the student, as (role, text) messages."""

    query_id: str
    prompt: ChatText


@dataclass
class Writer:
    """Generates with one model. Greedy where the temperature is 0; the end token is counted as generated."""

    model: Any
    tokenizer: Any
    max_new_tokens: int
    batch: int
    stop: Callable[[], bool] = lambda: False
    temperature: float = 0.0
    top_p: float = 1.0

    def write(self, asks: Sequence[Ask]) -> Iterator[Generation]:
        """Answer all prompts, shortest first, a batch at a time; a batch that `stop` cuts off is not given out.

        Latency is the wall time of a batch divided by its prompts: what a query costs in a busy server.
        """
        self.model.eval()
        encoded = [(ask, encode_prompt(self.tokenizer, ask.prompt)) for ask in asks]
        encoded.sort(key=lambda pair: (len(pair[1]), pair[0].query_id))
        for begin in range(0, len(encoded), self.batch):
            generations = self._write_batch(encoded[begin : begin + self.batch])
            if self.stop():
                return
            yield from generations

    def _write_batch(self, batch: Sequence[tuple[Ask, list[int]]]) -> list[Generation]:
        end = end_token(self.tokenizer)
        width = max(len(ids) for _, ids in batch)
        pad = self.tokenizer.pad_token_id
        ids_BL = torch.tensor([[pad] * (width - len(ids)) + ids for _, ids in batch], device=self.model.device)
        mask_BL = torch.tensor([[0] * (width - len(i)) + [1] * len(i) for _, i in batch], device=self.model.device)
        started = time.perf_counter()
        with torch.inference_mode():
            out_BL = self.model.generate(
                input_ids=ids_BL,
                attention_mask=mask_BL,
                max_new_tokens=self.max_new_tokens,
                do_sample=self.temperature > 0,
                temperature=self.temperature or None,
                top_p=self.top_p if self.temperature > 0 else None,
                top_k=None,
                eos_token_id=sorted({end, self.tokenizer.eos_token_id}),
                pad_token_id=pad,
                stopping_criteria=[lambda ids, scores: torch.full((len(ids),), self.stop(), device=ids.device)],
            )
        latency = (time.perf_counter() - started) / len(batch)
        stops = {end, self.tokenizer.eos_token_id}
        written = []
        for (ask, _), row in zip(batch, out_BL[:, width:].tolist(), strict=True):
            stop = next((place for place, token in enumerate(row) if token in stops), None)
            used = row if stop is None else row[: stop + 1]
            text = self.tokenizer.decode(used if stop is None else used[:-1], skip_special_tokens=True)
            written.append(Generation(ask.query_id, text.strip(), len(used), stop is not None, latency))
        return written
