"""vLLM by HTTP: a server of the student's base model, which is handed each adapter (worker only).

The server is the user's own, of the same machine or with the same folders, and `TACIT_VLLM_URL` names it.
https://docs.vllm.ai/en/latest/features/lora/ (adapters handed over while it runs),
https://docs.vllm.ai/en/latest/serving/openai_compatible_server/ (prompts as ids, `return_token_ids`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import torch

from engine.datasets.encode import encode_prompt
from engine.errors import StateError
from engine.inference.decode import Written
from engine.inference.generations import TokenReader
from engine.inference.read_alone import read_log_probs, repeats_alone
from engine.inference.writer import Device, WriteRequest, find_stops, load_student, load_tokenizer, student_folder
from engine.inference.writers.base import WRITERS, Unfit, WriterKind, WriterOrder
from engine.values import Generation

VARIABLE = "TACIT_VLLM_URL"
_ANSWERS_S, _ATTEMPTS = 600.0, 4
"""Seconds that one answer may take, and how often it is asked for."""
_LOOK_S = 0.5
"""So often it is looked whether to stop."""
_TRIED = 16
"""Tokens of a first answer that are compared."""
_CLOSE = 0.1
"""So far their log-probs may be from PyTorch's on average: vLLM computes in 16 bits, PyTorch here in 32."""


class Wrote(NamedTuple):
    """An answer as a server gave it: its tokens, their log-probs, and whether it ended by itself."""

    ids: list[int]
    log_probs: list[float]
    finished: bool


@dataclass
class VllmWriter:
    """Asks a server for greedy answers, `batch` at a time; see `engine.inference.writer.Writer`.

    `model` is the student in PyTorch on the processor, which answers are held against; `served` the name that it has
    at the server.
    """

    model: Any
    tokenizer: Any
    client: httpx2.Client
    served: str
    order: WriterOrder
    batch: int
    checked: AbstractSet[str] = frozenset()
    repeated: dict[str, bool] = field(default_factory=dict)

    def fit(self, asks: Sequence[WriteRequest]) -> int:
        """How many of these are asked for at the same time; the server's memory is its own concern."""
        return self.batch

    def write(self, asks: Sequence[WriteRequest]) -> Iterator[Generation]:
        """Answer all prompts; each is given as soon as it is done, and none after a stop.

        Raises:
            StateError: if the server fails again and again, or gives what can't be read.
        """
        stops = find_stops(self.model, self.tokenizer)
        reader = TokenReader(self.tokenizer, logprobs=self.order.logprobs)
        encoded = [(ask.query_id, encode_prompt(self.tokenizer, ask.prompt)) for ask in asks]
        for written, finished in self._write([ids for _, ids in encoded], stops):
            query_id, prompt = encoded[written.place]
            if self.batch > 1 and query_id in self.checked:
                self.repeated[query_id] = repeats_alone(self.model, prompt, written.ids)
            yield reader.read(query_id, written, finished)

    def try_on(self, ask: WriteRequest) -> None:
        """Ask for the beginning of an answer, and hold it against what PyTorch makes of the same tokens.

        Raises:
            Unfit: if the log-probs are others.
            StateError: if there is no answer that can be read.
        """
        prompt = encode_prompt(self.tokenizer, ask.prompt)
        wrote = self._ask(prompt, find_stops(self.model, self.tokenizer), _TRIED)
        expected = read_log_probs(self.model, prompt, wrote.ids)
        apart = sum(abs(a - b) for a, b in zip(wrote.log_probs, expected, strict=True)) / max(1, len(expected))
        if not apart <= _CLOSE:
            raise Unfit(f"its log-probs are {apart:.2f} from PyTorch's: it serves another model or adapter")

    def _write(self, prompts: Sequence[list[int]], stops: AbstractSet[int]) -> Iterator[tuple[Written, bool]]:
        """What was written of which prompt, and whether that ended by itself; seconds are shared by those asked."""
        waiting = deque(range(len(prompts)))
        going: dict[Future[Wrote], tuple[int, float]] = {}
        with ThreadPoolExecutor(self.batch) as pool:
            while waiting or going:
                while waiting and len(going) < self.batch and not self.order.stop():
                    place = waiting.popleft()
                    asked = pool.submit(self._ask, prompts[place], stops, self.order.max_new_tokens)
                    going[asked] = place, time.perf_counter()
                done, _ = wait(going, _LOOK_S, FIRST_COMPLETED)
                for asked in done:
                    width, (place, began) = len(going), going.pop(asked)
                    wrote = asked.result()
                    seconds = (time.perf_counter() - began) / width
                    yield Written(place, wrote.ids, seconds, wrote.log_probs), wrote.finished
                if self.order.stop():
                    pool.shutdown(wait=False, cancel_futures=True)
                    return

    def _ask(self, prompt: list[int], stops: AbstractSet[int], most: int) -> Wrote:
        asked = {
            "model": self.served,
            "prompt": prompt,
            "max_tokens": most,
            "temperature": 0,
            "logprobs": 0,
            "stop_token_ids": sorted(stops),
            "return_token_ids": True,
            "skip_special_tokens": False,
        }
        for attempt in range(_ATTEMPTS):
            try:
                answer = self.client.post("completions", json=asked)
                if answer.status_code < 500:
                    return _read(answer, stops)
                error = f"it answers with {answer.status_code}"
            except httpx2.TransportError as failure:
                error = str(failure) or type(failure).__name__
            if self.order.stop():
                break
            time.sleep(2**attempt - 1)
        raise StateError(
            f"vLLM at {self.client.base_url} does not answer: {error}. What was written is kept: start it again, then "
            "resume the run."
        )


def _read(answer: httpx2.Response, stops: AbstractSet[int]) -> Wrote:
    """An answer of the server.

    Raises:
        StateError: if it is no such answer.
    """
    try:
        if answer.status_code != 200:
            raise ValueError(f"it answers with {answer.status_code}: {answer.text[:200]}")
        (choice,) = answer.json()["choices"]
        ids, log_probs = choice["token_ids"], choice["logprobs"]["token_logprobs"]
        finished = choice["finish_reason"] == "stop"
        if not ids or len(ids) != len(log_probs) or not all(isinstance(token, int) for token in ids):
            raise ValueError("tokens and log-probs don't belong together")
        if finished and ids[-1] not in stops:
            raise ValueError("the token that ended the answer is missing")
        return Wrote(list(ids), [float(value) for value in log_probs], finished)
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(
            f"vLLM's answer can't be read ({error}): ids of tokens take version 0.10.2 or a newer one"
        ) from None


def _find_obstacle(order: WriterOrder) -> str:
    if not os.environ.get(VARIABLE):
        return f"{VARIABLE} names no server"
    if order.temperature or order.until:
        return "it writes greedily, up to a student's own end"
    return "the base is read in 4 bits here, and not there" if order.student.four_bit else ""


def _open(order: WriterOrder, asks: Sequence[WriteRequest]) -> VllmWriter:
    """Hand the adapter over, and try the server on the first prompt."""
    url = os.environ[VARIABLE].rstrip("/") + "/"
    limits = httpx2.Limits(max_connections=order.batch)
    try:
        client = httpx2.Client(base_url=url, timeout=_ANSWERS_S, limits=limits, trust_env=False)
        served = _hand_over(client, student_folder(order.student), order.adapter)
        model = load_student(order.student, order.adapter, Device("cpu", torch.float32)).eval()
        writer = VllmWriter(model, load_tokenizer(order.student), client, served, order, order.batch)
        if asks:
            writer.try_on(asks[0])
    except (httpx2.HTTPError, httpx2.InvalidURL, StateError) as error:
        raise Unfit(f"{error or type(error).__name__} (asked at {url})") from error
    return writer


def _hand_over(client: httpx2.Client, base: str, adapter: Path | None) -> str:
    """The name under which the server has the student; its adapter is loaded there where it is not yet.

    Raises:
        Unfit: if it serves another model, or does not take the adapter.
    """
    try:
        listed = {str(one["id"]): one for one in client.get("models").raise_for_status().json()["data"]}
        roots = {name: str(one.get("root") or name) for name, one in listed.items() if not one.get("parent")}
    except (KeyError, TypeError, ValueError) as error:
        raise Unfit(f"its list of models can't be read ({error})") from None
    served = next((name for name, root in roots.items() if base in (name, root)), None)
    if served is None:
        raise Unfit(f"it serves {', '.join(sorted(roots.values())) or 'nothing'}, not {base}")
    if adapter is None:
        return served
    name = f"tacit-{_hash_adapter(adapter)}"
    if name not in listed:
        answer = client.post("load_lora_adapter", json={"lora_name": name, "lora_path": str(adapter.resolve())})
        if answer.status_code != 200:
            raise Unfit(f"it does not take adapters ({answer.status_code}: {answer.text[:200]})")
    return name


def _hash_adapter(folder: Path) -> str:
    """What tells one adapter from another, whatever its folder is called."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("adapter_*")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:24]


WRITERS.add("vllm", WriterKind("vLLM", 2, _find_obstacle, _open))
