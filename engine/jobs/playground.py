"""The playground's resident worker: students answer one prompt, token by token, over lines of JSON (worker only).

Reads requests from standard input, one a line: {"id", "student" (a StudentConfig), "prompt" ([[role, text], ...]; none:
it is loaded, and that is all), "adapter" (a folder, or null: the student without any), "until" (a text with which the
answer is over; may be left out), "temperature" (of a second draw; left out: the greedy answer)}, or {"stop" (an id)}:
nobody wants that answer any more. Writes {"id", "text"} as the text grows and in the end {"id", "text", "tokens",
"finished", "seconds", "log_prob", "label_tokens" (as of a `Generation`), "read" (tokens of the prompt)}, or {"id",
"error"}. The base model stays loaded from one request to the next.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from peft import PeftModel

from engine.config import StudentConfig, read_config
from engine.datasets.encode import encode_prompt
from engine.errors import TacitError, say_error
from engine.inference.writer import Writer, load_base, load_tokenizer, pick_device
from engine.packaged import count_processors
from engine.places import check_names
from engine.values import hash_id

_MOST_ADAPTERS = 8
_FAILED = "The student failed on this query; it may be too long for it, or for this machine's memory."


@dataclass
class Resident:
    """One student on its device, with the adapters that were asked for so far."""

    student: StudentConfig
    tokenizer: Any
    base: Any
    model: Any = None
    names: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def wearing(self, adapter: Path | None) -> Iterator[Any]:
        """The model with this adapter on; without any where it is None, whatever was asked for before."""
        if adapter is None and self.model is None:
            yield self.base
        elif adapter is None:
            with self.model.disable_adapter():
                yield self.model
        else:
            self._put_on(adapter)
            yield self.model

    def _put_on(self, adapter: Path) -> None:
        weights = adapter / "adapter_model.safetensors"
        key = hash_id(str(adapter), weights.stat().st_mtime_ns if weights.is_file() else 0)
        if self.model is None:
            self.model = PeftModel.from_pretrained(self.base, str(adapter), adapter_name=f"a{key}")
        elif key not in self.names:
            self.model.load_adapter(str(adapter), adapter_name=f"a{key}")
        self.names[key] = f"a{key}"
        self.model.set_adapter(f"a{key}")
        self.model.eval()
        while len(self.names) > _MOST_ADAPTERS:
            oldest = next(name for name in self.names if name != key)
            self.model.delete_adapter(self.names.pop(oldest))

    def answer(
        self,
        prompt: list[tuple[str, str]],
        adapter: Path | None,
        tell: Callable[[str], None],
        until: str = "",
        temperature: float = 0.0,
    ) -> dict[str, Any]:
        """Answer greedily, as evaluations do, or draw as second draws are. Tokens count the end token too."""
        with self.wearing(adapter) as model:
            writer = Writer(model, self.tokenizer, self.student.generate_tokens, 1, until=until, seeded=True)
            writer.temperature = temperature
            wrote = writer.write_aloud(tuple(prompt), tell)
        reply = {"text": wrote.text, "tokens": wrote.tokens, "finished": wrote.finished, "seconds": wrote.latency_s}
        sure = {"log_prob": wrote.log_prob, "label_tokens": wrote.label_tokens}
        return {**reply, **sure, "read": len(encode_prompt(self.tokenizer, tuple(prompt)))}


def open_resident(student: StudentConfig) -> Resident:
    """Load a student.

    Raises:
        MissingPart: if it can't be loaded.
    """
    base = load_base(student, pick_device())
    base.eval()
    return Resident(student, load_tokenizer(student), base)


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer request after request until there are no more."""
    resident: Resident | None = None
    heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
    stopped: set[int] = set()

    def say(**data: Any) -> None:
        replies.write(json.dumps(data, ensure_ascii=False) + "\n")
        replies.flush()

    def tell(number: int, text: str) -> None:
        if number in stopped:
            raise _Stopped
        say(id=number, text=text)

    threading.Thread(target=_listen, args=(requests, heard, stopped), daemon=True).start()
    while (asked := heard.get()) is not None:
        number = asked["id"]
        try:
            student = read_config(StudentConfig, asked["student"])
            check_names(student)
            if resident is None or resident.student != student:
                resident = None
                resident = open_resident(student)
            adapter = Path(asked["adapter"]) if asked["adapter"] else None
            prompt = [(str(role), str(text)) for role, text in asked["prompt"]]
            if not prompt:
                with resident.wearing(adapter):
                    say(id=number, over=True)
                continue
            until, temperature = str(asked.get("until", "")), float(asked.get("temperature", 0.0))
            say(id=number, over=True, **resident.answer(prompt, adapter, partial(tell, number), until, temperature))
        except _Stopped:
            say(id=number, over=True, error="stopped")
        except (TacitError, OSError, MemoryError) as error:
            say(id=number, over=True, error=say_error(error))
        except (ValueError, RuntimeError):  # a library's words, which help nobody who asked a question
            say(id=number, over=True, error=_FAILED)


class _Stopped(Exception):
    """Nobody wants the answer any more."""


def _listen(requests: TextIO, heard: queue.Queue[dict[str, Any] | None], stopped: set[int]) -> None:
    """Take requests in while an answer is written, so that one that is to stop is known at its next token."""
    for line in requests:
        asked = json.loads(line)
        if "stop" in asked:
            stopped.add(asked["stop"])
        else:
            heard.put(asked)
    heard.put(None)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("TACIT_THREADS") or count_processors()))
    own, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not stand between the replies
    serve(sys.stdin, own)
