"""Loads students and lets them write: base model plus adapter, batched by length. Import only inside a worker."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from heapq import nlargest
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.config import StudentConfig
from engine.datasets.encode import encode_prompt, end_token
from engine.datasets.rows import ChatText
from engine.errors import MissingPart, say_hub_error
from engine.inference.decode import Decoder, count_shared
from engine.inference.decoding import Decoding, find_own_stops, set_generation_settings_aside
from engine.inference.generations import TokenReader
from engine.inference.kernels import choose_math_kernels
from engine.inference.quicken import quicken
from engine.inference.read_alone import repeats_alone
from engine.inference.rows_at_once import find_free_memory, fit_rows
from engine.packaged import packaged_student_file, packaged_student_folder
from engine.second_draws import seed_of
from engine.values import Generation

GGUF = ".gguf"
_LONGEST = 32
"""Of so many prompts, the longest by their characters, tokens are counted to know the longest."""


@dataclass(frozen=True)
class Device:
    """Where and in which number format the student runs, and which attention trains fastest there.

    `training_dtype` is that of the base model while an adapter is trained on it; None: the same.
    """

    name: str
    dtype: torch.dtype
    training_attention: str = "sdpa"
    training_dtype: torch.dtype | None = None

    @property
    def for_training(self) -> Device:
        """The same device in the number format that training takes."""
        return replace(self, dtype=self.training_dtype or self.dtype)


def pick_device() -> Device:
    """CUDA in bfloat16 (float16 before Ampere), Apple's MPS in float16, else the CPU in bfloat16 where it has it.

    MPS trains in float32: there is no scaling of losses there, and gradients in float16 underflow. On the CPU
    the fused kernel's backward pass is slower than eager attention on short rows; writing is the reverse.
    """
    if torch.cuda.is_available():
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return Device("cuda", dtype)
    if torch.backends.mps.is_available():
        return Device("mps", torch.float16, training_dtype=torch.float32)
    return Device("cpu", torch.bfloat16 if _cpu_has_bfloat16() else torch.float32, "eager")


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 by itself.

    Kernels for it run on any x86 with AVX-512, emulated where its own instructions lack: slower than float32.
    """
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return not is_x86 or bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


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


def _find_files(student: StudentConfig) -> tuple[str, dict[str, Any]]:
    """Where `from_pretrained` finds a student, and what else it must be told: a GGUF file is named in its folder."""
    folder = student_folder(student)
    if folder.endswith(GGUF) and Path(folder).is_file():
        return str(Path(folder).parent), {"gguf_file": Path(folder).name}
    return folder, {"revision": student.revision}


def _unloadable(student: StudentConfig, error: Exception) -> MissingPart:
    message = f"the student {student.model} can't be loaded: {say_hub_error(error)}"
    return MissingPart(f"{message}; the log of the worker says more")


def load_tokenizer(student: StudentConfig) -> Any:
    """The student's tokenizer, with a padding token.

    Raises:
        MissingPart: if it can't be loaded.
    """
    folder, named = _find_files(student)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **named)
    except (OSError, ValueError) as error:
        raise _unloadable(student, error) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(student: StudentConfig, device: Device, attention: str = "sdpa", quantization: Any = None) -> Any:
    """The student without any adapter, on its device, its own generation settings set aside.

    `quantization` is transformers' configuration of one, for a base that is held in fewer bits.

    Raises:
        MissingPart: if it can't be loaded.
    """
    choose_math_kernels()
    folder, named = _find_files(student)
    if quantization is not None:  # such weights are made on the device, and don't move
        named = {**named, "quantization_config": quantization, "device_map": {"": device.name}}
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=device.dtype, attn_implementation=attention, **named)
    except (OSError, ValueError) as error:
        raise _unloadable(student, error) from error
    set_generation_settings_aside(model)
    _straighten_head_input(model)
    return model if quantization is not None else model.to(device.name)


def _straighten_head_input(model: Any) -> None:
    """Hand the head a tensor without gaps.

    Of the last position of each row, cut out of all of them, torch would make a product a row, each with a copy of the
    head's weights: gigabytes for a batch.
    """
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(lambda module, args: (args[0].contiguous(), *args[1:]))


def load_student(student: StudentConfig, adapter: Path | None, device: Device) -> Any:
    """The base model, with an adapter on top where one is given; merging would round small updates off in bfloat16."""
    base = load_base(student, device)
    return base if adapter is None else PeftModel.from_pretrained(base, str(adapter))


@dataclass(frozen=True)
class WriteRequest:
    """One prompt for the student, as (role, text) messages."""

    query_id: str
    prompt: ChatText


def find_stops(model: Any, tokenizer: Any) -> frozenset[int]:
    """What ends an answer: the template's end token, the tokenizer's EOS and what the model itself names, together."""
    eos = tokenizer.eos_token_id
    return frozenset([end_token(tokenizer), *([] if eos is None else [int(eos)]), *find_own_stops(model)])


def find_holders(tokenizer: Any, character: str) -> frozenset[int]:
    """The ids of all tokens that hold a character."""
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
    return frozenset(token for token, text in enumerate(texts) if character in text)


@dataclass
class Writer:
    """Generates with one model. Greedy where the temperature is 0; the end token is counted as generated."""

    model: Any
    tokenizer: Any
    max_new_tokens: int
    batch: int
    """The most prompts that are written at the same time; fewer where memory holds fewer."""
    stop: Callable[[], bool] = lambda: False
    temperature: float = 0.0
    top_p: float = 1.0
    until: str = ""
    """The text with which an answer is over, wherever it stands behind the answer's beginning; "": none."""
    checked: AbstractSet[str] = frozenset()
    """The queries whose answers are read by themselves too, where several are written at the same time."""
    repeated: dict[str, bool] = field(default_factory=dict)
    """Of those, whether it is what the prompt alone leads to."""
    logprobs: bool = False
    """Whether a generation brings its tokens with their log-probs."""
    seeded: bool = False
    """Whether what is drawn for a prompt hangs on the prompt alone, so that it repeats."""

    def write(self, asks: Sequence[WriteRequest]) -> Iterator[Generation]:
        """Answer all prompts; each is given as soon as it is done, and those that `stop` cuts off are not given.

        What all prompts begin with is read once. Latency is a prompt's share of the time that its batch took: what a
        query costs in a busy server.
        """
        encoded = [(ask, encode_prompt(self.tokenizer, ask.prompt)) for ask in asks]
        encoded.sort(key=lambda pair: (len(pair[1]), pair[0].query_id))
        prompts = [ids for _, ids in encoded]
        decoder = self._open(prompts, [ask.prompt for ask, _ in encoded])
        rows = self._fit(prompts)
        for written in decoder.write(prompts, rows, self.stop):
            query_id = encoded[written.place][0].query_id
            if rows > 1 and query_id in self.checked:
                self.repeated[query_id] = repeats_alone(self.model, prompts[written.place], written.ids)
            yield self._reader.read(query_id, written, decoder.decoding.ends(written.ids))

    def fit(self, asks: Sequence[WriteRequest]) -> int:
        """How many of these are written at the same time: at most `batch`, as many as memory holds now."""
        longest = nlargest(_LONGEST, asks, key=lambda ask: sum(len(text) for _, text in ask.prompt))
        return self._fit([encode_prompt(self.tokenizer, ask.prompt) for ask in longest])

    def _fit(self, prompts: Sequence[list[int]]) -> int:
        tokens = max(map(len, prompts), default=0) + self.max_new_tokens
        return fit_rows(self.model, self.batch, tokens, find_free_memory(self.model.device.type))

    def write_aloud(self, prompt: ChatText, tell: Callable[[str], None]) -> Generation:
        """Answer one prompt as `write` does; `tell` is called with the text so far after each token."""
        prompts = [encode_prompt(self.tokenizer, prompt)]
        decoder = self._open(prompts, [prompt])
        (written,) = decoder.write(prompts, 1, on_token=lambda ids: tell(self._reader.read_text(ids)))
        return self._reader.read("", written, decoder.decoding.ends(written.ids))

    @property
    def _reader(self) -> TokenReader:
        return TokenReader(self.tokenizer, self.until, self.logprobs)

    def _open(self, prompts: Sequence[list[int]], texts: Sequence[ChatText]) -> Decoder:
        self.model.eval()
        if self.model.device.type == "cpu":
            quicken(self.model)
        stops = find_stops(self.model, self.tokenizer)
        pad = self.tokenizer.pad_token_id
        dice = tuple(random.Random(seed_of(text)) for text in texts) if self.seeded else ()
        decoding = Decoding(self.max_new_tokens, stops, pad, self.temperature, self.top_p, dice=dice)
        if self.until:
            decoding = replace(decoding, is_over=self._find_over())
        shared = tuple(prompts[0][: count_shared(prompts)]) if len(prompts) > 1 else ()
        return Decoder(self.model, decoding, shared)

    def _find_over(self) -> Callable[[Sequence[int]], bool]:
        """Tells of ids whether their text holds `until`; whitespace in front of it all does not count."""
        last = find_holders(self.tokenizer, self.until[-1])

        def is_over(ids: Sequence[int]) -> bool:
            text = self.tokenizer.decode(ids, skip_special_tokens=True) if ids[-1] in last else ""
            return self.until in text.lstrip()

        return is_over
