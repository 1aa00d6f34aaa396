"""A student that is taken out is read back, and asked what it was scored on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from transformers import AutoTokenizer

from engine.config import LoraSettings, StudentConfig
from engine.datasets.encode import encode_prompt, render_prompt
from engine.errors import StateError
from engine.evaluation.readback import AskedAgain, ReadBack, as_line, read_back_from
from engine.exports import EXPORTERS, Outgoing, PromptFrame, Student
from engine.exports.modelfile import cut_template, mark_turns
from engine.inference.gguf_file import permute, write_gguf
from engine.inference.merging import load_merged
from engine.inference.writer import Device, Writer, WriteRequest, load_base, load_student, load_tokenizer
from engine.jobs.context import JobContext
from engine.jobs.events import EVENTS_FILE, EventLog
from engine.jobs.export import run
from engine.jobs.spec import AnswerCheck, AskedSo, ExportJob
from engine.lines import write_lines
from engine.values import Query
from tests.fakes.tiny_student import make_tiny_student
from tests.train.test_after_training import make_adapter

MERGES = (("t", "h"), ("i", "s"), ("W", "h"), ("Wh", "o"), ("\u0120", "i"), ("\u0120i", "s"))
QUERIES = [Query(str(n), f"Who is number {n}?") for n in range(6)]
TOKENS = 8


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Student:
    torch.set_num_threads(1)  # threads that fight over a busy machine are slower than one
    folder = tmp_path_factory.mktemp("merging")
    model = make_tiny_student(folder / "model", merges=MERGES)
    config = StudentConfig(model=str(model), lora=LoraSettings(rank=4), generate_tokens=TOKENS, generate_batch=2)
    return Student(config, make_adapter(model, folder / "adapter", 1))


def ask(text: str) -> tuple[tuple[str, str], ...]:
    return (("system", "Say it."), ("user", f"direct: {text}"))


def answer(model: Any, student: Student) -> list[str]:
    writer = Writer(model, load_tokenizer(student.config), TOKENS, 2)
    found = {g.query_id: g.text for g in writer.write([WriteRequest(q.id, ask(q.text)) for q in QUERIES])}
    return [found[query.id] for query in QUERIES]


@pytest.fixture(scope="module")
def answers(student: Student) -> dict[str, list[str]]:
    """What the student says, and what its merged weights say once they are rounded to 16 bits."""
    assert student.adapter is not None
    plain = load_student(student.config, student.adapter, Device("cpu", torch.float32))
    rounded = load_merged(student.config, student.adapter).half().float()
    return {"adapter": answer(plain, student), "gguf-f16": answer(rounded, student)}


def make_job(student: Student, form: str, texts: Sequence[str], folder: Path) -> tuple[ExportJob, JobContext]:
    lines = [
        {**as_line(AskedAgain(query, text, "x")), "prompt": [list(turn) for turn in ask(query.text)]}
        for query, text in zip(QUERIES, texts, strict=True)
    ]
    assert student.adapter is not None
    check = AnswerCheck(
        task="custom",
        file=write_lines(folder / "check.jsonl", lines),
        output=folder / "out.check.json",
        of=len(QUERIES),
        measure="accuracy",
        max_tokens=TOKENS,
    )
    job = ExportJob(
        exporter=form,
        student=student.config,
        adapter=student.adapter,
        output=folder / "out",
        base="me/base",
        asking=AskedSo(system="Say it.", before="direct: ", max_tokens=TOKENS),
        check=check,
    )
    return job, JobContext(folder, EventLog(folder / EVENTS_FILE), lambda: False)


def read_check(folder: Path) -> ReadBack:
    return read_back_from(json.loads((folder / "out.check.json").read_text()))


@pytest.mark.parametrize("form", ["gguf-f16", "adapter"])
def test_an_export_is_read_back_and_answers_as_was_scored(
    student: Student, answers: dict[str, list[str]], tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.jobs.export.pick_device", lambda: Device("cpu", torch.float32))
    job, context = make_job(student, form, answers[form], tmp_path)
    assert run(job, context)
    found = read_check(tmp_path)
    assert (found.asked, found.of, found.same_texts, found.changed) == (6, 6, 6, False)
    assert found.difference is not None and found.difference.difference == 0 and found.where == "cpu, float32"
    assert not (tmp_path / "out" / "README.md").exists(), "the card tells of the check, so it is written after it"
    assert any(event.type == "checked" for event in context.journal)


def test_a_check_that_was_stopped_goes_on_where_it_was_and_tells_what_changed(
    student: Student, answers: dict[str, list[str]], tmp_path: Path
) -> None:
    texts = [answers["gguf-f16"][0], *["something else"] * 5]
    job, context = make_job(student, "gguf-f16", texts, tmp_path)
    kept = tmp_path / "answers.jsonl"
    stopped = JobContext(tmp_path, context.sink, lambda: kept.exists() and kept.stat().st_size > 0)
    assert not run(job, stopped) and not (tmp_path / "out.check.json").exists()
    begun = kept.read_text().splitlines()
    assert 0 < len(begun) < 6
    kept.write_text(kept.read_text() + '["5", "half a li')
    written = (tmp_path / "out").stat().st_mtime_ns
    assert run(job, context) and (tmp_path / "out").stat().st_mtime_ns == written, "nothing is written twice"
    assert kept.read_text().splitlines()[: len(begun)] == begun
    assert read_check(tmp_path).same == 1 and read_check(tmp_path).changed


def test_a_modelfile_beside_a_gguf_file_asks_as_the_student_was_trained(student: Student, tmp_path: Path) -> None:
    asking = PromptFrame("Say it.", "direct: ", "", TOKENS)
    EXPORTERS.get("gguf-q8_0").write(Outgoing(student=student, asking=asking), tmp_path / "out")
    tokenizer, turn = load_tokenizer(student.config), mark_turns(asking)
    template = cut_template(render_prompt(tokenizer, turn[:2]), render_prompt(tokenizer, turn, generate=False))
    assert template is not None and template.render("Say it.", "Who?") == render_prompt(tokenizer, ask("Who?"))
    modelfile = (tmp_path / "out" / "Modelfile").read_text()
    assert f"{template.middle}{{{{ .Prompt }}}}{template.tail}" in modelfile and 'stop "<|im_end|>"' in modelfile
    kinds = {str(t.tensor_type.name) for t in gguf.GGUFReader(tmp_path / "out" / "student-q8_0.gguf").tensors}
    assert kinds == {"Q8_0", "F32"}


@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_other_architectures_come_back_with_the_same_weights(kind: str, tmp_path: Path) -> None:
    model = make_tiny_student(tmp_path / "model", merges=MERGES, kind=kind)
    config = StudentConfig(model=str(model))
    adapter = make_adapter(model, tmp_path / "adapter", 2)
    write_gguf(config, adapter, "F16", tmp_path / "student-f16.gguf")
    back = StudentConfig(model=str(tmp_path / "student-f16.gguf"))
    merged = load_merged(config, adapter).state_dict()
    found = load_base(back, Device("cpu", torch.float32)).state_dict()
    assert found.keys() == merged.keys() and any("bias" in name or "q_norm" in name for name in found)
    for name, weights in merged.items():
        torch.testing.assert_close(found[name], weights.to(torch.float32), rtol=1e-3, atol=1e-5)
    prompt = ask("Who is this?")
    assert encode_prompt(load_tokenizer(back), prompt) == encode_prompt(load_tokenizer(config), prompt)
    assert AutoTokenizer.from_pretrained(tmp_path, gguf_file="student-f16.gguf").chat_template


def test_what_can_t_be_written_as_gguf_is_refused_and_leaves_nothing(student: Student, tmp_path: Path) -> None:
    bare = make_tiny_student(tmp_path / "bare")
    adapter = make_adapter(bare, tmp_path / "adapter", 3)
    given = Outgoing(student=Student(StudentConfig(model=str(bare)), adapter))
    with pytest.raises(StateError, match=r"no byte-level BPE.*convert_hf_to_gguf.py"):
        EXPORTERS.get("gguf-f16").write(given, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    rows = torch.arange(8.0).reshape(8, 1)
    assert permute(rows, 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
