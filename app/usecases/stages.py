"""What each step of a plan works on: rows to train on, prompts to answer, and the fingerprint of both."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from app.usecases.compressing import kept_examples
from app.usecases.context import Context
from engine.config import ReplaySource, Step
from engine.dataset import (
    Example,
    fingerprint_rows,
    label_rows,
    rationale_rows,
    row_to_json,
    split_validation,
    student_prompt,
)
from engine.errors import StateError
from engine.jobs.spec import WorkerStep, write_lines
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.types import Query, Split, StageRow, hash_id
from storage.runs import Run

STUDENT = "student"
TEACHERS = "teachers"
VERSION = "2:"
"""Begins fingerprints of this kind. Those without it are of the first kind, which knew less of what a step reads."""

_PROMPTS = {1: ("guided",), 2: ("guided", "check", "unaided")}
"""Prompts of a compression, by the level of its check."""


@dataclass(frozen=True)
class StageBuilder:
    """Builds the worker's steps of one run, from what is in the store now: all of them from the same."""

    context: Context
    run: Run
    _built: dict[str, list[StageRow]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def examples(self) -> list[Example]:
        """G, with the teachers' own rationales."""
        return [example for example, _ in kept_examples(self.context, self.run)]

    def rows(self, dataset: str, compress: str = "") -> list[StageRow]:
        """The rows of a dataset: full [x; r; y], compressed [x; r^T; y] or label [x; y].

        Compressed ones are of the compress step that is named, else of the run's last one that has any; where a person
        reviews it, only what is approved is taught.
        """
        key = f"{dataset} {compress}" if dataset == "compressed" else dataset
        if key not in self._built:
            self._built[key] = self._build_rows(dataset, compress)
        return self._built[key]

    def _build_rows(self, dataset: str, compress: str) -> list[StageRow]:
        task = get_task(self.context.projects.get(self.run.project_id).config.task)
        examples = self.examples
        if dataset == "label":
            return label_rows(task, examples)
        if dataset == "compressed":
            held = self.context.rationales
            step = compress or held.last_step(self.run.id)
            reviewed = bool(step) and self.run.plan.reviews(step)
            texts = held.approved(self.run.id, step) if reviewed else held.newest(self.run.id, step)
            examples = [
                replace(e, rationale=texts[e.sample_id][0], flags=texts[e.sample_id][1])
                for e in examples
                if e.sample_id in texts
            ]
        return rationale_rows(task, examples)

    def training_rows(self, step: Step) -> list[StageRow]:
        """The step's dataset and what it replays of others."""
        compress = self.run.plan.before(step.name, "compress")
        rows = list(self.rows(step.dataset, compress))
        for source in step.replay:
            rows += _share(self.rows(source.dataset, compress), source)
        if not rows:
            raise StateError(f"step {step.name}: the selection left nothing to train on")
        return rows

    def folder(self, step: str) -> Path:
        """Where a train step's checkpoints and adapter lie."""
        return Path(self.run.folder) / step

    def build(self, step: Step, job_folder: Path) -> WorkerStep:
        """Write a step's input into the job's folder and describe the step to the worker."""
        start = str(self.folder(step.start) / "adapter") if step.start else None
        if step.kind == "train":
            rows = self.training_rows(step)
            file = write_lines(job_folder / f"{step.name}.jsonl", map(row_to_json, rows))
            train = step.train
            if step.equal_updates_to:
                train = train.model_copy(update={"updates": self._updates_of(step.equal_updates_to)})
            return WorkerStep(
                kind="train", name=step.name, file=file, start=start, folder=str(self.folder(step.name)), train=train
            )
        file = write_lines(job_folder / f"{step.name}.jsonl", self._asks(step))
        limit = self.run.plan.student.generate_tokens
        return WorkerStep(kind="write", name=step.name, file=file, start=start, max_new_tokens=limit)

    def build_teachers(self, job_folder: Path) -> WorkerStep | None:
        """The teachers' answers on held-out queries, to be measured in the student's tokens; None without any."""
        rows = self.context.db.rows(
            "SELECT a.teacher AS system, a.query_id, a.raw AS text, s.label, a.latency_s FROM attempts a "
            "LEFT JOIN samples s ON s.project_id = a.project_id AND s.id = a.sample_id "
            "WHERE a.project_id = ? AND a.purpose = 'evaluate' "
            "QUALIFY row_number() OVER (PARTITION BY a.teacher, a.query_id ORDER BY s.label IS NULL, a.id) = 1 "
            "ORDER BY ALL",
            [self.run.project_id],
        )
        if not rows:
            return None
        return WorkerStep(kind="count", name=TEACHERS, file=write_lines(job_folder / f"{TEACHERS}.jsonl", rows))

    def _updates_of(self, names: Sequence[str]) -> int:
        """How many updates some train steps took together; of one that has not run, as its settings say."""
        results = {state.name: state.result for state in self.context.runs.steps(self.run.id)}
        steps = {step.name: step for step in self.run.plan.steps}
        return sum(int(results.get(name, {}).get("updates") or self._plan_updates(steps[name])) for name in names)

    def _plan_updates(self, step: Step) -> int:
        if step.equal_updates_to:
            return self._updates_of(step.equal_updates_to)
        rows, _ = split_validation(self.training_rows(step), step.train.validation)
        return step.train.updates or math.ceil(step.train.epochs * len(rows) / step.train.batch_size)

    def _asks(self, step: Step) -> list[dict[str, Any]]:
        task = get_task(self.context.projects.get(self.run.project_id).config.task)
        if step.kind == "answer":
            wanted = {example.query.id for example in self.examples}
            queries = [q for q in self.context.queries.get(self.run.project_id, Split.DISTILL) if q.id in wanted]
            return [ask_of(query, STUDENT, student_prompt(task, query)) for query in queries]
        queries = self.context.queries.get(self.run.project_id, Split.HELDOUT)
        if not queries:
            raise StateError("the project has no held-out queries to evaluate on; import some with --heldout")
        system = step.start or step.name
        if step.start is not None:
            return [ask_of(query, system, student_prompt(task, query)) for query in queries]
        shots = pick_shots(self.examples, step.shots)
        return [ask_of(query, system, student_prompt(task, query, "vanilla", shots)) for query in queries]

    def fingerprint(self, step: Step) -> str:
        """Hash of everything that the step reads, through all steps it starts from or has its material of.

        Left out is what can't change an output: names of steps, how often checkpoints are saved, how many prompts share
        a batch, caps on money.
        """
        return VERSION + hash_id("step", step.kind, *self._reads(step))

    def is_stale(self, step: Step, fingerprint: str | None) -> bool:
        """Whether a step would read something else now than what its result, of that fingerprint, was made from."""
        if fingerprint is not None and not fingerprint.startswith(VERSION):
            return fingerprint != self._first_fingerprint(step)
        return fingerprint != self.fingerprint(step)

    def _reads(self, step: Step) -> list[object]:
        plan, student = self.run.plan, self.run.plan.student
        base = [student.model, student.revision]
        start = self.fingerprint(self._step(step.start)) if step.start else None
        if step.kind == "train":
            settings = step.train.model_dump(mode="json", exclude={"save_every"})
            if step.equal_updates_to:
                settings |= {"updates": self._updates_of(step.equal_updates_to), "epochs": None}
            adapter = [student.lora.model_dump(mode="json"), student.seed]
            return [*base, *adapter, start, settings, fingerprint_rows(self.training_rows(step))]
        if step.kind in ("answer", "evaluate"):
            asked = sorted(json.dumps([ask["query_id"], ask["prompt"]]) for ask in self._asks(step))
            return [*base, student.generate_tokens, start, asked]
        if step.kind == "compress":
            answers = plan.before(step.name, "answer")
            given = [[e.sample_id, e.query.id, e.rationale, e.label] for e in self.examples]
            prompts = [load_prompt("compress", name).hash for name in _PROMPTS[plan.check_level]]
            own = self.fingerprint(self._step(answers)) if answers else None
            return [own, sorted(given, key=str), prompts, self._teachers(), plan.compressor, plan.check_level]
        compress = plan.before(step.name, "compress")
        return [step.approve, self.fingerprint(self._step(compress)) if compress else None]

    def _teachers(self) -> list[object]:
        """Of the project's teachers what decides their answers."""
        specs = self.context.projects.teachers(self.run.project_id)
        return [[s.name, s.provider, s.model, s.endpoint, asdict(s.sampling)] for s in specs]

    def _step(self, name: str) -> Step:
        return next(step for step in self.run.plan.steps if step.name == name)

    def _first_fingerprint(self, step: Step) -> str:
        """The fingerprint as it was first made: of results that were made then."""
        student = self.run.plan.student.model_dump(mode="json", exclude_unset=True)
        parts: list[object] = [step.model_dump(mode="json", exclude_unset=True), student]
        if step.kind == "train":
            parts.append(fingerprint_rows(self.training_rows(step)))
        parts += [self._first_fingerprint(self._step(step.start))] if step.start else []
        return hash_id("step", *parts)


def ask_of(query: Query, system: str, prompt: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """A prompt for the worker's student, and under which system's name it answers."""
    return {"query_id": query.id, "system": system, "prompt": [list(turn) for turn in prompt]}


def _share(rows: Sequence[StageRow], source: ReplaySource) -> list[StageRow]:
    """A share of the rows that does not depend on their order."""
    count = math.ceil(source.share * len(rows))
    return sorted(rows, key=lambda row: hash_id("replay", row.id))[:count]


def pick_shots(examples: Sequence[Example], count: int) -> tuple[Example, ...]:
    """Worked examples for few-shot prompts: by hash, of as many kinds as there are."""
    ranked = sorted(examples, key=lambda example: hash_id("shot", example.sample_id))
    by_kind: dict[str | None, list[Example]] = {}
    for example in ranked:
        by_kind.setdefault(example.query.kind, []).append(example)
    shots: list[Example] = []
    while len(shots) < min(count, len(ranked)):
        for members in by_kind.values():
            if members and len(shots) < count:
                shots.append(members.pop(0))
    return tuple(shots)
