"""Counts a prompt's tokens with the model's own tokenizer, where that is at hand.

OpenAI's models by tiktoken, which fetches a vocabulary once and keeps it; others by the `tokenizer.json` of their
folder or of the Hugging Face cache. Nothing else is known before a pilot has measured it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from engine.places import is_open
from engine.values import TeacherSpec

_PATIENCE_S = 8.0
"""tiktoken waits for the network as long as it takes; a quote does not."""


class Counter(NamedTuple):
    """A tokenizer: its name, and how many tokens it makes of each of some texts."""

    name: str
    lengths: Callable[[Sequence[str]], list[int]]


def find_counter(spec: TeacherSpec) -> Counter | None:
    """The tokenizer of a teacher's model; None where it is not at hand."""
    if spec.provider == "openai" and not spec.endpoint:
        return _find_within(spec.model)
    return find_in_files(spec.model) if is_open(spec.model) else None


@cache
def _find_within(model: str) -> Counter | None:
    """As `_find_at_openai`, for as long as a quote may wait."""
    counters: list[Counter | None] = []
    thread = threading.Thread(target=lambda: counters.append(_find_at_openai(model)), daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return counters[0] if counters else None


def _find_at_openai(model: str) -> Counter | None:
    import tiktoken  # noqa: PLC0415 - only where one of OpenAI's models is quoted

    try:
        encoding = tiktoken.encoding_for_model(model)
    except (KeyError, ValueError, OSError):  # a model that it does not know, or no way to the vocabulary
        return None
    return Counter(encoding.name, lambda texts: list(map(len, encoding.encode_ordinary_batch(list(texts)))))


def find_in_files(model: str) -> Counter | None:
    """The tokenizer in a model's folder, or of a model in the Hugging Face cache; None where there is none (yet)."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - only where a model is counted by its own

    try:
        folder = Path(model)
        file = folder / "tokenizer.json" if folder.is_dir() else try_to_load_from_cache(model, "tokenizer.json")
    except (ValueError, OSError):  # no name of a model on the Hub, nor of a folder
        return None
    return _read_file(str(file)) if isinstance(file, (str, Path)) and Path(file).is_file() else None


@cache
def _read_file(file: str) -> Counter | None:
    import tokenizers  # noqa: PLC0415 - only where a model is counted whose tokenizer is here

    try:
        tokenizer = tokenizers.Tokenizer.from_file(file)
    except Exception:  # noqa: BLE001 - the library raises nothing finer on a file that it can't read
        return None

    def lengths(texts: Sequence[str]) -> list[int]:
        encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    return Counter("the model's own tokenizer", lengths)
