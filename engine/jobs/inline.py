"""A whole run in this process, without a store: what workers and the studio's supervisor do, one step after another.

Import only where torch may be imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engine.compression import COMPRESSORS, assign, compress
from engine.errors import StateError
from engine.evaluation.report import score_item
from engine.jobs.bundle import write_step
from engine.jobs.rewrite import rewrite_here
from engine.jobs.spec import StudentJob
from engine.jobs.student import run_steps
from engine.labelling.online import LabelWork, label
from engine.pipeline import Material, Pipeline, find_next
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Review, Train
from engine.ports import Teacher
from engine.values import EvalItem, Generation, Sample

_WRITTEN = tuple(field.name for field in fields(Generation))


@dataclass
class Heard:
    """Events as they are emitted: (type, data)."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def emit(self, type_: str, **data: Any) -> None:
        """Keep one event."""
        self.events.append((type_, data))

    def of(self, type_: str) -> list[dict[str, Any]]:
        """The data of all events of a type, in their order."""
        return [data for name, data in self.events if name == type_]


def label_queries(work: LabelWork) -> list[Sample]:
    """Ask all teachers all queries; the samples that came of it. Replies that can't be read give none.

    Raises:
        CapReached: as `engine.labelling.online.label`.
    """
    heard = Heard()
    asyncio.run(label(work, heard))
    return [
        Sample(
            data["sample_id"],
            data["query_id"],
            data["teacher"],
            **data["sample"],
            evidence=data.get("evidence", {}),
        )
        for data in heard.of("reply")
        if data.get("sample")
    ]


@dataclass
class InlineRun:
    """A plan, what it works on, and what came of it so far. Adapters and checkpoints go into `folder`."""

    plan: Plan
    material: Material
    folder: Path
    teachers: Mapping[str, Teacher] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    answers: list[EvalItem] = field(default_factory=list)
    """What students answered to held-out queries, not scored yet."""
    written: dict[str, dict[str, Generation]] = field(default_factory=dict)
    """What the student wrote in each answer step, by query id."""
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the worker said of each step it finished, as losses and rows of a train step."""

    def go(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Do all steps that are left; asked to `stop`, it ends after a checkpoint and goes on with the next call.

        Raises:
            StateError: if a person is to review, or there is nothing to work on.
            ConfigError: if nobody can compress.
        """
        while not stop():
            passed, steps = find_next(self.plan, self.finished)
            self.finished |= {step.name for step in passed}
            if not steps:
                return
            first = steps[0]
            if isinstance(first, Review):
                raise StateError(f"step {first.name} waits for a person; there is none here, so let it approve all")
            if isinstance(first, Compress):
                self._compress(first)
            else:
                self._train_and_write(steps, stop)

    def score(self, golds: Mapping[str, str]) -> list[EvalItem]:
        """The answers verified against gold labels, by query id; queries without one are left out."""
        queries = {query.id: query for query in self.material.heldout}
        return [
            score_item(self.material.task, queries[item.query_id], golds[item.query_id], item)
            for item in self.answers
            if item.query_id in golds
        ]

    def _compress(self, step: Compress) -> None:
        students = self.written.get(self.plan.before(step.name, Answer), {})
        level, task = self.plan.check_level, self.material.task
        by = COMPRESSORS.get(step.by)
        work = assign(task, self.material.examples, self.teachers, students, self.plan.compressor, level, by)
        work = rewrite_here(task, work, by)
        rewritten = asyncio.run(compress(task, work, by, level, Heard()))
        texts = {str(item.example.sample_id): (item.rationale, item.flags) for item in rewritten}
        self.material = replace(self.material, taught={**self.material.taught, step.name: texts})
        self.finished.add(step.name)

    def _train_and_write(self, steps: Sequence[AnyStep], stop: Callable[[], bool]) -> None:
        pipeline, heard = Pipeline(self.plan, self.material), Heard()
        doable = [step for step in steps if isinstance(step, (Train, Answer, Evaluate))]
        built = tuple(write_step(pipeline, step, self.folder, lambda name: self.folder / name) for step in doable)
        run_steps(StudentJob(student=self.plan.student, steps=built), [], heard, stop)
        done = {data["step"]: data["result"] for data in heard.of("step_finished")}
        self.finished |= done.keys()
        self.results |= done
        updates = {name: int(result["updates"]) for name, result in done.items() if "updates" in result}
        self.material = replace(self.material, updates={**self.material.updates, **updates})
        for data in heard.of("answer"):
            wrote = Generation(**{name: data[name] for name in _WRITTEN if name in data})
            if isinstance(self.plan.step(data["step"]), Answer):
                self.written.setdefault(data["step"], {})[wrote.query_id] = wrote
            elif data["step"] in done:
                fields = (data["system"], wrote.query_id, None, wrote.text, None, wrote.tokens, wrote.latency_s, None)
                item = EvalItem(*fields, finished=wrote.finished, log_prob=wrote.log_prob)
                self.answers.append(replace(item, label_tokens=wrote.label_tokens))
