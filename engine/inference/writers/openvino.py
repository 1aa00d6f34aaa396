"""OpenVINO GenAI: about twice as fast on processors that don't multiply bfloat16 (worker only).

It reads the student, adapter merged in, from a GGUF file: given an adapter beside such a file, it leaves it out without
a word. https://openvinotoolkit.github.io/openvino.genai/docs/guides/model-preparation/gguf-models
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.config import StudentConfig
from engine.datasets.encode import encode_prompt
from engine.errors import StateError
from engine.inference.decode import Written
from engine.inference.generations import TokenReader
from engine.inference.gguf_file import write_model
from engine.inference.gguf_shapes import find_obstacle
from engine.inference.merging import load_merged
from engine.inference.read_alone import read_log_probs, repeats_alone
from engine.inference.rows_at_once import find_free_memory, fit_rows
from engine.inference.writer import GGUF, WriteRequest, find_stops, load_tokenizer, pick_device, student_folder
from engine.inference.writers.base import WRITERS, Unfit, WriterKind, WriterOrder
from engine.values import Generation

_PACKAGE = "openvino_genai"
_CLOSE = 0.1
"""So far the log-prob of a token may be from the one that PyTorch computes: weights are rounded to 16 bits."""
_TRIED = 16
"""Tokens of a first answer that are compared."""
_BYTES = 12
"""Of memory a weight: the merged model and the pipeline's in 32 bits, and as much while it is read."""
_FEW = 100
"""Fewer prompts don't pay for the seconds in which the student is merged, written, read and compiled."""
_EXACT = {"KV_CACHE_PRECISION": "f32", "INFERENCE_PRECISION_HINT": "f32"}
"""Else keys and values are rounded to 8 bits."""


@dataclass
class OpenVinoWriter:
    """Writes greedily with a merged student; see `engine.inference.writer.Writer`."""

    model: Any
    """The merged student in PyTorch, which answers are held against."""
    tokenizer: Any
    pipeline: Any
    order: WriterOrder
    batch: int
    checked: AbstractSet[str] = frozenset()
    repeated: dict[str, bool] = field(default_factory=dict)
    _number: int = 0

    def fit(self, asks: Sequence[WriteRequest]) -> int:
        """How many of these are written at the same time: at most `batch`, as many as memory holds now."""
        return self._fit([encode_prompt(self.tokenizer, ask.prompt) for ask in asks])

    def _fit(self, prompts: Sequence[list[int]]) -> int:
        tokens = max(map(len, prompts), default=0) + self.order.max_new_tokens
        return fit_rows(self.model, self.batch, tokens, find_free_memory("cpu"))

    def write(self, asks: Sequence[WriteRequest]) -> Iterator[Generation]:
        """Answer all prompts; each is given as soon as it is done, and those that a stop cuts off are not given."""
        stops = find_stops(self.model, self.tokenizer)
        reader = TokenReader(self.tokenizer, logprobs=self.order.logprobs)
        encoded = [(ask.query_id, encode_prompt(self.tokenizer, ask.prompt)) for ask in asks]
        encoded.sort(key=lambda pair: (len(pair[1]), pair[0]))
        for written in self._write([ids for _, ids in encoded], stops):
            query_id, prompt = encoded[written.place]
            if self.batch > 1 and query_id in self.checked:
                self.repeated[query_id] = repeats_alone(self.model, prompt, written.ids)
            yield reader.read(query_id, written, written.ids[-1] in stops)

    def try_on(self, ask: WriteRequest) -> None:
        """Write the beginning of an answer, and hold it against what PyTorch makes of the same tokens.

        Raises:
            Unfit: if a log-prob is another.
        """
        prompt = encode_prompt(self.tokenizer, ask.prompt)
        handle = self._ask(prompt, _configure(_TRIED, find_stops(self.model, self.tokenizer)))
        while not _is_over(handle):
            self.pipeline.step()
        (output,) = handle.read_all()
        expected = read_log_probs(self.model, prompt, list(output.generated_ids))
        apart = max(abs(a - b) for a, b in zip(output.generated_log_probs, expected, strict=True))
        if not apart <= _CLOSE:
            raise Unfit(f"it gives a token a log-prob that is {apart:.2f} from PyTorch's")

    def _write(self, prompts: Sequence[list[int]], stops: AbstractSet[int]) -> Iterator[Written]:
        """What prompts begin with is kept from the first answer, on which the writer was tried."""
        rows = self._fit(prompts)
        waiting, going = deque(range(len(prompts))), dict[int, tuple[Any, float]]()
        config = _configure(self.order.max_new_tokens, stops)
        while waiting or going:
            while waiting and len(going) < rows:
                place = waiting.popleft()
                going[place] = (self._ask(prompts[place], config), 0.0)
            began = time.perf_counter()
            self.pipeline.step()
            share = (time.perf_counter() - began) / len(going)
            going = {place: (handle, seconds + share) for place, (handle, seconds) in going.items()}
            for place in [place for place, (handle, _) in going.items() if _is_over(handle)]:
                handle, seconds = going.pop(place)
                (output,) = handle.read_all()
                yield Written(place, list(output.generated_ids), seconds, list(output.generated_log_probs))
            if self.order.stop():
                for handle, _ in going.values():
                    handle.cancel()
                return

    def _ask(self, prompt: list[int], config: Any) -> Any:
        self._number += 1
        return self.pipeline.add_request(
            self._number, import_module("openvino").Tensor(np.array([prompt], dtype=np.int64)), config
        )


def _genai() -> Any:
    return import_module(_PACKAGE)


def _configure(max_new_tokens: int, stops: AbstractSet[int]) -> Any:
    config = _genai().GenerationConfig()
    config.max_new_tokens, config.do_sample, config.logprobs = max_new_tokens, False, 1
    config.eos_token_id, config.stop_token_ids = min(stops), set(stops)
    return config


def _is_over(handle: Any) -> bool:
    return bool(handle.get_status() != _genai().GenerationStatus.RUNNING)


def _find_obstacle(order: WriterOrder) -> str:
    if find_spec(_PACKAGE) is None:
        return "the package openvino-genai is not installed (`pip install 'tacit-studio[openvino]'`)"
    device = pick_device()
    if device.name != "cpu" or device.dtype != torch.float32:
        return "PyTorch is as fast on this device"
    if order.temperature or order.until:
        return "it writes greedily, up to a student's own end"
    folder = student_folder(order.student)
    if folder.endswith(GGUF):
        return "the student is a GGUF file of somebody else's making"
    config = _read_config(folder, order.student)
    return "" if config is None else find_obstacle(config.to_dict()) or _find_lack(config)


def _read_config(folder: str, student: StudentConfig) -> Any:
    """None where it can't be read: loading says why."""
    with suppress(OSError, ValueError):
        return AutoConfig.from_pretrained(folder, revision=student.revision)
    return None


def _find_lack(config: Any) -> str:
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    free = find_free_memory("cpu")
    return "" if _BYTES * weights <= free else f"it takes {_BYTES * weights:,} bytes of memory, and {free:,} are free"


def _open(order: WriterOrder, asks: Sequence[WriteRequest]) -> OpenVinoWriter:
    """Try it on the first prompt: a student that is read otherwise than it was meant writes otherwise."""
    if len(asks) < _FEW:
        raise Unfit("these are few prompts")
    model, tokenizer = load_merged(order.student, order.adapter).eval(), load_tokenizer(order.student)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"student{GGUF}"
        try:
            write_model(model, tokenizer, "F16", file)
            writer = OpenVinoWriter(model, tokenizer, _load(file, order.batch), order, order.batch)
        except (StateError, RuntimeError) as error:
            raise Unfit(str(error)) from error
    writer.try_on(asks[0])
    return writer


def _load(file: Path, batch: int) -> Any:
    scheduler = _genai().SchedulerConfig()
    scheduler.max_num_seqs = batch
    scheduler.enable_prefix_caching = True
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    return _genai().ContinuousBatchingPipeline(str(file), scheduler, "CPU", {**_EXACT, **threads})


WRITERS.add("openvino", WriterKind("OpenVINO GenAI", 1, _find_obstacle, _open))
