"""A student merged into its base model in float32, as a folder that loads by itself."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

from engine.config import StudentConfig
from engine.errors import MissingPart, StateError
from engine.exports.adapter import CONFIG
from engine.exports.base import EXPORTERS, Exporter, Outgoing, Scope, Student, Use, write_notes

MERGED = "merged"


def write_merged(given: Outgoing, to: Path) -> None:
    """Write the merged model, its tokenizer and the notes, all of it or nothing.

    Raises:
        StateError: if there is no student.
        MissingPart: if there is no adapter, or the base can't be loaded.
    """
    student, adapter = find_merging(given)
    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    import_module("engine.inference.merging").merge(student, adapter, part)  # brings torch
    write_notes(part, given.notes)
    part.rename(to)


def find_merging(given: Outgoing) -> tuple[StudentConfig, Path]:
    """The student that is taken out, and the adapter that is merged into it.

    Raises:
        StateError: if there is no student.
        MissingPart: if there is no adapter.
    """
    student = given.student
    if student is None or student.adapter is None:
        raise StateError("this student has no adapter to merge")
    if not (student.adapter / CONFIG).is_file():
        raise MissingPart(f"there is no adapter in {student.adapter}")
    return student.config, student.adapter


def read_merged(folder: Path) -> Student:
    """The student of a merged model's folder.

    Raises:
        MissingPart: if there is no model.
    """
    if not (folder / "config.json").is_file():
        raise MissingPart(f"there is no model in {folder}")
    return Student(StudentConfig(model=str(folder)))


EXPORTERS.add(
    MERGED,
    Exporter(
        "the merged model",
        "The adapter merged into its base model; loads by itself.",
        Scope.STUDENT,
        write_merged,
        read_merged,
        needs_worker=True,
        library="transformers",
        load=(
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n",
            "model = AutoModelForCausalLM.from_pretrained(folder)\n",
        ),
        uses=(Use("vLLM", "vllm serve . --served-model-name student", port=8000),),
    ),
)
