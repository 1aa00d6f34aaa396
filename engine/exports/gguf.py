"""A student as a GGUF file for llama.cpp and what is built on it, with a Modelfile for Ollama beside it.

Two exporters that differ in how matrices are stored. Files of four bits are not offered: the exporters read an export
back and compare its answers, and of such a file hardly any was still the student's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.config import StudentConfig
from engine.errors import MissingPart
from engine.exports.base import EXPORTERS, Exporter, Outgoing, Scope, Student, Use, write_notes
from engine.exports.merged import find_merging
from engine.exports.modelfile import cut_template, mark_turns, write_modelfile

MODELFILE = "Modelfile"


def write_as(kind: str) -> Callable[[Outgoing, Path], None]:
    """What writes a student whose matrices are stored in a kind of numbers, by its name in GGML."""

    def write(given: Outgoing, to: Path) -> None:
        """Write the file, a Modelfile and the notes, all of it or nothing.

        Raises:
            StateError: if there is no student, or such a model is not written as GGUF.
            MissingPart: if there is no adapter, or the base can't be loaded.
        """
        student, adapter = find_merging(given)
        part = to.with_name(f"{to.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        file = name_file(kind)
        writing = import_module("engine.inference.gguf_file")  # brings torch
        asked = writing.write_gguf(student, adapter, kind, part / file)
        turn = mark_turns(given.asking)
        template = cut_template(asked.render(turn[:2]), asked.render(turn, answered=True))
        (part / MODELFILE).write_text(write_modelfile(file, given.asking, template, asked.stops), "utf-8")
        write_notes(part, given.notes)
        part.rename(to)

    return write


def name_file(kind: str) -> str:
    """What the file is called in its folder."""
    return f"student-{kind.lower()}.gguf"


def read_gguf(folder: Path) -> Student:
    """The student of such a folder.

    Raises:
        MissingPart: if there is no file in it.
    """
    file = next(iter(sorted(folder.glob("*.gguf"))), None)
    if file is None:
        raise MissingPart(f"there is no GGUF file in {folder}")
    return Student(StudentConfig(model=str(file)))


def refuse(config: Mapping[str, Any]) -> str:
    """Why a model of this `config.json` is not written as GGUF; "": it is."""
    obstacle: str = import_module("engine.inference.gguf_shapes").find_obstacle(config)
    return obstacle


def _offer(name: str, kind: str, title: str, help_text: str) -> None:
    file = name_file(kind)
    EXPORTERS.add(
        name,
        Exporter(
            title,
            help_text,
            Scope.STUDENT,
            write_as(kind),
            read_gguf,
            needs_worker=True,
            library="gguf",
            load=(
                "from transformers import AutoModelForCausalLM, AutoTokenizer\n",
                f"model = AutoModelForCausalLM.from_pretrained(folder, gguf_file={file!r}, dtype='float32')\n",
            ),
            tokenizer=f"AutoTokenizer.from_pretrained(folder, gguf_file={file!r})",
            uses=(
                Use("llama.cpp", f"llama-server --model {file} --jinja --temp 0 --predict {{tokens}}", port=8080),
                Use(
                    "Ollama",
                    f"ollama create student --file {MODELFILE}\nollama run student",
                    port=11434,
                    note="The Modelfile sets the system message and what stands around a query: give the bare query.",
                ),
            ),
            refuses=refuse,
        ),
    )


_offer("gguf-f16", "F16", "the model as GGUF, F16", "One file for llama.cpp and Ollama, 16 bits a weight.")
_offer("gguf-q8_0", "Q8_0", "the model as GGUF, Q8_0", "The same at 8 bits a weight: about half as large.")
