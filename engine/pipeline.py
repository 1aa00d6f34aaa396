"""The method from selected samples to a scored student: which steps of a plan come next, and what each works on.

Pure functions over values: no file is read here, no model asked. Whoever runs a plan reads the material, does what
`find_next` says (a worker trains and writes, teachers compress, a person reviews), and asks again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from engine.budgets import RowSize
from engine.compression import CHECK_PROMPTS, COMPRESSORS
from engine.config import ReplaySource, TrainConfig
from engine.datasets import DATASETS, Materials
from engine.datasets.encode import split_validation
from engine.datasets.rows import ChatText, Example, fingerprint_rows, student_prompt
from engine.errors import StateError
from engine.forecasts import CHARACTERS
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Review, Train
from engine.plans.reserved import STUDENT
from engine.ports import Task
from engine.prompts import load_prompt
from engine.values import Query, StageRow, TeacherSpec, hash_id

VERSION = "2:"
"""Begins fingerprints of this kind. Those without it are of the first kind, which knew less of what a step reads."""


class Next(NamedTuple):
    """What a run does next: `passed` are reviews that nobody waits for, `steps` are done together; none: it is over."""

    passed: tuple[Review, ...]
    steps: tuple[AnyStep, ...]


def find_next(plan: Plan, finished: Collection[str]) -> Next:
    """What follows once the steps of these names are finished.

    Steps of training and writing are done by one worker in a row, up to a step of another kind, or one that must know
    how many updates others took. Compressing and reviewing stand alone.
    """
    ahead = [step for step in plan.steps if step.name not in finished]
    passed: list[Review] = []
    while ahead and isinstance(ahead[0], Review) and ahead[0].approve == "all":
        passed.append(ahead[0])
        ahead = ahead[1:]
    if not ahead or isinstance(ahead[0], (Compress, Review)):
        return Next(tuple(passed), tuple(ahead[:1]))
    together: list[AnyStep] = []
    for step in ahead:
        if isinstance(step, (Compress, Review)):
            break
        if isinstance(step, Train) and not set(step.equal_updates_to) <= set(finished):
            break
        together.append(step)
    return Next(tuple(passed), tuple(together))


class StudentPrompt(NamedTuple):
    """A prompt for the student, and under which system's name it answers."""

    query_id: str
    system: str
    prompt: ChatText


@dataclass(frozen=True)
class Material:
    """What the steps of a run read.

    Attributes:
        task: what is asked, and how it is verified.
        examples: G, the selected samples with the teachers' own rationales.
        taught: by compress step the newest text and flags of each sample, by sample id; where a person reviews that
            step, only what is approved.
        asked: all queries to distill from, in their order.
        heldout: the queries that students are scored on, in their order.
        teachers: the project's teachers as they are set now.
        updates: by train step that ran, how many updates it took.
    """

    task: Task
    examples: Sequence[Example]
    taught: Mapping[str, Mapping[str, tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    asked: Sequence[Query] = ()
    heldout: Sequence[Query] = ()
    teachers: Sequence[TeacherSpec] = ()
    updates: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """A plan over its material: rows, prompts and fingerprints of its steps."""

    plan: Plan
    material: Material
    _rows: dict[str, list[StageRow]] = field(default_factory=dict, repr=False, compare=False)

    def rows(self, dataset: str, compress: str = "") -> list[StageRow]:
        """The rows of a dataset.

        Rewritten rationales are of the compress step that is named, else of the last one that brought any.

        Raises:
            ConfigError: if there is no such dataset.
        """
        kind = DATASETS.get(dataset)
        key = f"{dataset} {compress}" if kind.needs_compress else dataset
        if key not in self._rows:
            texts = self.material.taught.get(compress or self._last_compressed(), {}) if kind.needs_compress else {}
            self._rows[key] = kind.rows(self.material.task, Materials(self.material.examples, texts))
        return self._rows[key]

    def _last_compressed(self) -> str:
        names = [step.name for step in self.plan.steps if isinstance(step, Compress)]
        return next((name for name in reversed(names) if self.material.taught.get(name)), "")

    def training_rows(self, step: Train) -> list[StageRow]:
        """The step's dataset and what it replays of others.

        Raises:
            StateError: if there is no row.
        """
        compress = self.plan.before(step.name, Compress)
        rows = list(self.rows(step.dataset, compress))
        for source in step.replay:
            rows += _share(self.rows(source.dataset, compress), source)
        if not rows:
            raise StateError(f"step {step.name}: the selection left nothing to train on")
        return rows

    def count_updates(self, names: Sequence[str]) -> int:
        """How many updates some train steps take together: as they took, or as settings and rows say."""
        return sum(self.material.updates.get(name) or self._plan_updates(name) for name in names)

    def _plan_updates(self, name: str) -> int:
        step = self.plan.step(name)
        if not isinstance(step, Train):
            return 0
        if step.equal_updates_to:
            return self.count_updates(step.equal_updates_to)
        rows, _ = split_validation(self.training_rows(step), step.train.validation)
        if step.train.tokens:
            return max(1, round(step.train.tokens / step.train.batch_size * CHARACTERS / measure_rows(rows)))
        return step.train.updates or math.ceil(step.train.epochs * len(rows) / step.train.batch_size)

    def asks(self, step: Answer | Evaluate) -> list[StudentPrompt]:
        """The prompts of a step in which the student writes.

        Raises:
            StateError: if there is no held-out query to evaluate on.
        """
        task = self.material.task
        if isinstance(step, Answer):
            wanted = {example.query.id for example in self.material.examples}
            queries = [query for query in self.material.asked if query.id in wanted]
            return [StudentPrompt(query.id, STUDENT, student_prompt(task, query)) for query in queries]
        if not self.material.heldout:
            raise StateError("the project has no held-out queries to evaluate on; import some as held out")
        heldout = self.material.heldout
        if step.start is not None:
            prompt = step.prompt or "answer"
            return [StudentPrompt(query.id, step.system, student_prompt(task, query, prompt)) for query in heldout]
        shots, prompt = pick_shots(self.material.examples, step.shots), step.prompt or "vanilla"
        return [StudentPrompt(query.id, step.system, student_prompt(task, query, prompt, shots)) for query in heldout]

    def fingerprint(self, step: AnyStep) -> str:
        """Hash of everything that the step reads, through all steps it starts from or has its material of.

        Left out is what can't change an output: names of steps, roles, how often checkpoints are saved, how many
        prompts share a batch, caps on money.
        """
        return VERSION + hash_id("step", step.kind, *self._reads(step))

    def is_stale(self, step: AnyStep, fingerprint: str | None) -> bool:
        """Whether a step would read something else now than what its result, of that fingerprint, was made from."""
        if fingerprint is not None and not fingerprint.startswith(VERSION):
            return fingerprint != self._first_fingerprint(step)
        return fingerprint != self.fingerprint(step)

    def _reads(self, step: AnyStep) -> list[object]:
        plan, student = self.plan, self.plan.student
        base = [student.model, student.revision]
        if isinstance(step, Train):
            settings = step.train.model_dump(mode="json", exclude={"save_every", "loss", "tokens"})
            if step.train.tokens is not None:
                settings = settings | {"tokens": step.train.tokens, "epochs": None, "updates": None}
            if step.train.loss != TrainConfig().loss:  # results of before there were others stay what they are
                settings["loss"] = step.train.loss
            if step.equal_updates_to:
                settings |= {"updates": self.count_updates(step.equal_updates_to), "epochs": None}
            adapter = [student.lora.model_dump(mode="json"), student.seed, *(["4 bits"] if student.four_bit else [])]
            return [*base, *adapter, self._of(step.start), settings, fingerprint_rows(self.training_rows(step))]
        if isinstance(step, (Answer, Evaluate)):
            asked = sorted(json.dumps([ask.query_id, [list(turn) for turn in ask.prompt]]) for ask in self.asks(step))
            stops = self._stops() if isinstance(step, Evaluate) and step.stops_behind_answer else []
            return [*base, student.generate_tokens, self._of(step.start), asked, *stops]
        if isinstance(step, Compress):
            given = [[e.sample_id, e.query.id, e.rationale, e.label] for e in self.material.examples]
            sent = (*COMPRESSORS.get(step.by).prompts, *CHECK_PROMPTS[plan.check_level])
            prompts = [load_prompt("compress", name).hash for name in sent]
            teachers = [[s.name, s.provider, s.model, s.endpoint, asdict(s.sampling)] for s in self.material.teachers]
            own = self._of(plan.before(step.name, Answer))
            other = [step.by] if step.by != Compress(name=step.name).by else []  # results of before stay what they are
            worker = COMPRESSORS.get(step.by).worker
            other += [worker.model()] if worker else []
            return [own, sorted(given, key=str), prompts, teachers, plan.compressor, plan.check_level, *other]
        return [step.approve, self._of(plan.before(step.name, Compress))]

    def _stops(self) -> list[object]:
        """Where answers end; a line's end is not said: results of before there were others stay what they are."""
        stop = self.material.task.stop
        return ["stops", *([] if stop == "\n" else [stop])]

    def _of(self, name: str | None) -> str | None:
        return self.fingerprint(self.plan.step(name)) if name else None

    def _first_fingerprint(self, step: AnyStep) -> str:
        """The fingerprint of a train step as it was first made: of results that were made then."""
        if not isinstance(step, Train):
            return ""
        settings = {"shots": 0, "approve": "all", **step.model_dump(mode="json", exclude_unset=True)}
        student = self.plan.student.model_dump(mode="json", exclude_unset=True)
        parts: list[object] = [settings, student, fingerprint_rows(self.training_rows(step))]
        parts += [self._first_fingerprint(self.plan.step(step.start))] if step.start else []
        return hash_id("step", *parts)


def measure_rows(rows: Sequence[StageRow]) -> float:
    """Characters of a row, prompt and completion, on average; 0 without rows."""
    total = sum(len(row.completion) + sum(len(text) for _, text in row.prompt) for row in rows)
    return total / len(rows) if rows else 0.0


def measure_stages(pipeline: Pipeline) -> dict[str, RowSize]:
    """What each train step fits, in rows and characters; where nobody compressed yet, of what stands in for it."""
    sizes = {}
    for step in pipeline.plan.trained:
        rows = pipeline.rows(DATASETS.get(step.dataset).stand_in or step.dataset)
        sizes[step.name] = RowSize(len(rows), measure_rows(rows))
    return sizes


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


def prompt_of(plan: Plan, step: str) -> str:
    """The student's prompt that a train step's student answers with; that of an untrained one for ""."""
    own = next((scored.prompt for scored in plan.evaluated if scored.start == step), "") if step else ""
    return own or ("answer" if step else "vanilla")


def find_systems(plan: Plan) -> dict[str, str]:
    """The evaluation step that each student of a plan answers in, by the name that it goes by in reports."""
    return {step.system: step.name for step in plan.evaluated}


def as_line(ask: StudentPrompt) -> dict[str, Any]:
    """A prompt as a line of a worker's file."""
    return {"query_id": ask.query_id, "system": ask.system, "prompt": [list(turn) for turn in ask.prompt]}
