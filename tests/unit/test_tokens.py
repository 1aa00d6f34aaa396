"""Counting with a model's own tokenizer, where it is at hand, and saying so where it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import tokenizers

from engine.teachers.tokens import find_counter
from engine.values import TeacherSpec


def test_a_folder_of_a_model_counts_as_its_tokenizer_does(tiny_student: Path) -> None:
    counter = find_counter(TeacherSpec("ann", "openai", str(tiny_student), "http://127.0.0.1:1/v1"))
    text = "what is two plus two"
    own = tokenizers.Tokenizer.from_file(str(tiny_student / "tokenizer.json"))
    assert counter is not None and counter.lengths([text, ""]) == [
        len(own.encode(text, add_special_tokens=False).ids),
        0,
    ]


def test_a_model_in_the_cache_of_the_hub_is_found(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    folder = tmp_path / "models--own--small"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    shutil.copy(tiny_student / "tokenizer.json", folder / "snapshots" / "abc")
    spec = TeacherSpec("ann", "openai", "own/small", "http://127.0.0.1:1/v1")
    counter = find_counter(spec)
    assert counter is not None and counter.lengths(["two plus two"])[0] > 0


@pytest.mark.parametrize("model", ["nobody/has-this", "not a name: at all", "gpt-from-elsewhere"])
def test_a_tokenizer_that_is_not_at_hand_is_none(model: str) -> None:
    assert find_counter(TeacherSpec("ann", "openai", model, "http://127.0.0.1:1/v1")) is None


def test_openais_models_are_counted_by_tiktoken_or_not_at_all() -> None:
    assert find_counter(TeacherSpec("ann", "openai", "gpt-of-no-known-family")) is None
