"""Whether what was taken out still answers as what was scored: which queries it is asked, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.usecases.evaluation.scores import find_labels, hash_labels
from app.usecases.evaluation.verdicts import say_difference
from app.usecases.training.materials import StageBuilder
from app.usecases.workspace.context import Context
from engine.datasets.rows import ChatText
from engine.evaluation.readback import AskedAgain, ReadBack, as_line, read_back_from
from engine.exports import EXPORTERS, PromptFrame
from engine.jobs.spec import AnswerCheck
from engine.lines import write_lines
from engine.pipeline import prompt_of
from engine.plans import Evaluate
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.values import EvalItem, Query, hash_id
from engine.wording import counted
from storage.runs import Run

_MARK = "\u2042"


def adapter_of(run: Run, step: str) -> Path:
    """The folder of a train step's adapter; it may not be there."""
    return Path(run.folder) / step / "adapter"


def place_of(context: Context, run: Run, step: str, name: str) -> Path:
    """Where a student lies once a worker has made it; named after the adapter that it was made from.

    Raises:
        OSError: if there is no adapter.
    """
    made = adapter_of(run, step).stat().st_mtime_ns
    return context.workspace / "exports" / f"{run.id}-{step}-{name}-{made}{EXPORTERS.get(name).suffix}"


def result_of(place: Path) -> Path:
    """The file in which it is kept how an export's answers compared."""
    return place.with_name(f"{place.name}.check.json")


def find_read_back(context: Context, run: Run, step: str, name: str) -> ReadBack | None:
    """How an export's answers compared with the scored ones; None where it was not checked.

    Also where it was made anew since, or where the gold labels are others than those that both were scored by.
    """
    try:
        read_back = read_back_from(json.loads(result_of(place_of(context, run, step, name)).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return read_back if read_back.scored_by in ("", _hash_labels(context, run)) else None


def _hash_labels(context: Context, run: Run) -> str:
    """What answers are scored by now, read once between two writes."""
    project_id = run.project_id
    return context.db.once(f"labels that {project_id} is scored by", lambda: hash_labels(context, project_id))


@dataclass(frozen=True)
class StoredAnswers:
    """A stage's stored answers to held-out queries: each query with the prompt that the student was asked with.

    `labels` are those that answers are scored by, by query id, and `measure` what such a score is called.
    """

    step: Evaluate | None
    rows: tuple[tuple[Query, ChatText, EvalItem], ...]
    labels: dict[str, str]
    measure: str


def read_answers(context: Context, run: Run, step: str) -> StoredAnswers:
    """What the student of a train step answered when it was scored; no rows where it was not."""
    scored = next((one for one in run.plan.evaluated if one.start == step), None)
    if scored is None:
        return StoredAnswers(None, (), {}, "")
    pipeline = StageBuilder(context, run).pipeline
    queries = {query.id: query for query in pipeline.material.heldout}
    answers = {
        item.query_id: item for item in context.runs.answers(run.id, scored.name) if item.system == scored.system
    }
    asks = pipeline.asks(scored) if queries else []
    rows = tuple((queries[ask.query_id], ask.prompt, answers[ask.query_id]) for ask in asks if ask.query_id in answers)
    labels, measure = find_labels(context, run.project_id, queries)
    return StoredAnswers(scored, rows, labels, measure)


def write_check(context: Context, run: Run, step: str, place: Path, sample: int, folder: Path) -> AnswerCheck | None:
    """What a worker is to ask an export; None where nothing is to be asked, or the stage has no stored answers.

    The sample is by hash, so that all exports of a stage are asked the same.
    """
    stored = read_answers(context, run, step) if sample > 0 else None
    if stored is None or not stored.rows:
        return None
    chosen = sorted(stored.rows, key=lambda row: hash_id("export-check", row[0].id))[:sample]
    lines = [
        {
            **as_line(AskedAgain(query, item.text, stored.labels.get(query.id))),
            "prompt": [list(turn) for turn in prompt],
        }
        for query, prompt, item in chosen
    ]
    asking = ask_of(context, run, step)
    return AnswerCheck(
        task=context.projects.get(run.project_id).config.task,
        file=write_lines(folder / "check.jsonl", lines),
        output=result_of(place),
        of=len(stored.rows),
        measure=stored.measure,
        max_tokens=asking.max_tokens,
        until=asking.until,
        scored_by=_hash_labels(context, run),
    )


def ask_of(context: Context, run: Run, step: str) -> PromptFrame:
    """How the student of a train step was trained to be asked."""
    system, user = load_prompt("student", prompt_of(run.plan, step)).render(query=_MARK)
    before, _, behind = user.partition(_MARK)
    scored = next((one for one in run.plan.evaluated if one.start == step), None)
    task = get_task(context.projects.get(run.project_id).config.task)
    until = task.stop if scored is not None and scored.stops_behind_answer else ""
    return PromptFrame(system, before, behind, run.plan.student.generate_tokens, until)


def say_read_back(read_back: ReadBack | None) -> str:
    """How an export answered, in one sentence or two."""
    if read_back is None:
        return "Not checked: no held-out query was asked of it."
    of = "" if read_back.asked == read_back.of else f" (a sample of {read_back.of:,})"
    text = f"{read_back.same:,} of {counted(read_back.asked, 'answer')}{of} are the scored student's"
    if read_back.same_texts != read_back.same:
        text += f", {read_back.same_texts:,} of them word for word"
    if read_back.difference is not None:
        text += f"; {read_back.measure} {say_difference(read_back.difference)} against it (n = {read_back.labelled:,})"
    if read_back.changed:
        text = f"Changed: {text}. Below {read_back.limit:.0%} the same, it is not what was scored"
    return f"{text}."


def read_back_lines(read_back: ReadBack | None) -> Sequence[tuple[str, Any]]:
    """The same as rows of a table: what, and how much."""
    if read_back is None:
        return ()
    rows: list[tuple[str, Any]] = [
        ("queries asked", f"{read_back.asked:,} of {read_back.of:,}"),
        ("same answer", f"{read_back.share:.1%}"),
        ("same text", f"{read_back.same_texts / read_back.asked:.1%}"),
    ]
    if read_back.difference is not None:
        rows += [
            (f"{read_back.measure}, as scored", f"{read_back.scored:.3f}"),
            (f"{read_back.measure}, read back", f"{read_back.exported:.3f}"),
            ("paired difference (95 %)", say_difference(read_back.difference)),
        ]
    return [*rows, ("run in", read_back.where)]
