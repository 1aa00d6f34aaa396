"""A student as its adapter, which is loaded over the base model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from engine.config import StudentConfig
from engine.errors import MissingPart, StateError
from engine.exports.base import EXPORTERS, Exporter, Outgoing, Scope, Student, Use, write_notes

CONFIG = "adapter_config.json"


def write_adapter(given: Outgoing, to: Path) -> None:
    """Copy the adapter, its base model by the name it has where it goes, with the notes beside it.

    Raises:
        StateError: if there is no adapter, or the folder exists.
    """
    source = given.student.adapter if given.student else None
    if source is None:
        raise StateError("this student has no adapter")
    if to.exists():
        raise StateError(f"{to} exists already; nothing was written")
    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part, ignore=shutil.ignore_patterns("README.md"))  # an empty form that peft puts there
    write_notes(part, {**given.notes, CONFIG: name_base(source, given.base)})
    part.rename(to)


def name_base(adapter: Path, base: str) -> str:
    """An adapter's settings as JSON, with the base model by the name it has where the adapter goes."""
    settings = json.loads((adapter / CONFIG).read_text("utf-8"))
    return json.dumps({**settings, "base_model_name_or_path": base}, indent=2)


def read_adapter(folder: Path) -> Student:
    """The student of an adapter's folder.

    Raises:
        MissingPart: if there is no adapter.
    """
    if not (folder / CONFIG).is_file():
        raise MissingPart(f"there is no adapter in {folder}")
    base = json.loads((folder / CONFIG).read_text("utf-8"))["base_model_name_or_path"]
    return Student(StudentConfig(model=base), folder)


EXPORTERS.add(
    "adapter",
    Exporter(
        "the adapter",
        "Small; loaded over the base model.",
        Scope.STUDENT,
        write_adapter,
        read_adapter,
        library="peft",
        load=(
            "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n",
            "base = AutoModelForCausalLM.from_pretrained({base!r})\nmodel = PeftModel.from_pretrained(base, folder)\n",
        ),
        uses=(
            Use(
                "vLLM",
                "vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules student=.",
                port=8000,
            ),
        ),
    ),
)
