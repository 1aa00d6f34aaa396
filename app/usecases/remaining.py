"""How long the rest of a run will take, scoring included: by what it has done so far, else by its forecast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.usecases.context import Context
from app.usecases.forecasting import TO_WRITE, ForecastService
from app.usecases.stages import StageBuilder
from engine.config import Step
from engine.errors import TacitError
from engine.types import JobStatus, Purpose, Split
from storage.runs import Run, StepState

_READING = 0.1
"""What reading a character costs against writing one."""
_CHARACTERS = 4
"""Of a token, at most, where the bound on what is written cuts a rationale off."""
_GAPS = (
    "SELECT step, median(gap) AS gap, arg_max(most, seq) AS most FROM (SELECT e.data->>'step' AS step, e.seq, "
    "(e.data->>'of')::BIGINT AS most, "
    'e."at" - lag(e."at") OVER (PARTITION BY e.job_id, e.data->>\'step\' ORDER BY e.seq) AS gap '
    "FROM events e JOIN jobs j ON j.id = e.job_id WHERE j.run_id = ? AND e.type = 'metric' "
    "AND (e.data->>'$.values.loss') IS NOT NULL) GROUP BY step"
)


@dataclass(frozen=True)
class Left:
    """Seconds that are left of a run. `open`: compressing comes on top, which nobody can tell the time of yet."""

    seconds: float
    open: bool


@dataclass(frozen=True)
class Sizes:
    """Of a run's material: rows and characters a row by dataset, characters of an answer by what was taught, queries.

    asked: those that the student answers with its own rationales. held: those it is scored on.
    """

    rows: Mapping[str, int]
    characters: Mapping[str, float]
    written: Mapping[str, float]
    asked: int
    held: int
    prompt: float


@dataclass(frozen=True)
class _Done:
    """What a run has done so far: seconds an update and a prompt by step, and how far each step is."""

    gaps: Mapping[str, float]
    most: Mapping[str, int]
    updates: Mapping[str, int]
    answers: Mapping[str, int]
    latencies: Mapping[str, float]


@dataclass(frozen=True)
class RemainingService:
    """Use cases of the time that is left."""

    context: Context
    forecast: ForecastService
    _sizes: dict[str, Sizes] = field(default_factory=dict)

    def left(self, run: Run, states: Sequence[StepState]) -> Left | None:
        """What is left of a run; None where neither its own pace nor a forecast is known yet."""
        ahead = {state.name for state in states if state.status is not JobStatus.FINISHED}
        steps = [step for step in run.plan.steps if step.name in ahead and step.kind != "review"]
        sizes = self._size(run)
        done = self._look(run)
        forecast = self._find_forecast(run, sizes)
        seconds, open_ = 0.0, False
        for step in steps:
            if step.kind == "compress":
                took = self._compress(run, step, sizes)
                open_ = open_ or took is None
                seconds += took or 0.0
                continue
            whole = _train(run, step, sizes, done) if step.kind == "train" else _write(run, step, sizes, done)
            whole = forecast.get(step.name) if whole is None else whole
            if whole is None:
                return None
            seconds += whole * _share_left(run, step, sizes, done)
        return Left(seconds, open_)

    def _size(self, run: Run) -> Sizes:
        """Measured once a run: its selection and its held-out queries stay."""
        if run.id not in self._sizes:
            builder = StageBuilder(self.context, run)
            full, label = builder.rows("full"), builder.rows("label")
            prompt = _mean([sum(len(text) for _, text in row.prompt) for row in label])
            said, answers = _mean([len(row.completion) for row in full]), _mean([len(row.completion) for row in label])
            most = run.plan.student.generate_tokens * _CHARACTERS
            written = {name: min(most, said * share) for name, share in TO_WRITE.items()} | {"label": answers}
            self._sizes[run.id] = Sizes(
                rows={"full": len(full), "compressed": len(full), "label": len(label)},
                characters={"full": prompt + said, "compressed": prompt + said / 2, "label": prompt + answers},
                written=written,
                asked=len({row.query_id for row in full}),
                held=len(self.context.queries.get(run.project_id, Split.HELDOUT)),
                prompt=prompt,
            )
        return self._sizes[run.id]

    def _look(self, run: Run) -> _Done:
        paces = self.context.db.rows(_GAPS, [run.id])
        updates = self.context.db.rows(
            "SELECT step, max(update_no) AS n FROM metrics WHERE run_id = ? GROUP BY step", [run.id]
        )
        answers = self.context.db.rows(
            "SELECT step, count(*) AS n, avg(latency_s) AS latency FROM answers WHERE run_id = ? GROUP BY step",
            [run.id],
        )
        return _Done(
            gaps={row["step"]: row["gap"] for row in paces if row["gap"]},
            most={row["step"]: row["most"] for row in paces},
            updates={row["step"]: row["n"] for row in updates},
            answers={row["step"]: row["n"] for row in answers},
            latencies={row["step"]: row["latency"] for row in answers if row["latency"]},
        )

    def _find_forecast(self, run: Run, sizes: Sizes) -> dict[str, float]:
        """Seconds by step as they were measured before, for a run of the selection that was measured."""
        project = self.context.projects.get(run.project_id)
        try:
            latest = self.context.selections.latest(project.id).id == run.selection_id
            found = self.forecast.find(project.name, run.plan) if latest else None
        except TacitError:  # the measuring failed, or there is no selection any more
            found = None
        if found is None:
            return {}
        units = {s.name: _prompt_units(run, s, sizes) for s in run.plan.steps if s.kind in ("answer", "evaluate")}
        a_unit = (found.writing_low + found.writing_high) / 2 / max(1.0, sum(units.values()))
        return {stage.name: stage.seconds for stage in found.stages} | {n: u * a_unit for n, u in units.items()}

    def _compress(self, run: Run, step: Step, sizes: Sizes) -> float | None:
        """Seconds that teachers take for what is left to compress, by how long their answers took so far."""
        specs = {spec.name: spec for spec in self.context.projects.teachers(run.project_id)}
        waiting = self.context.db.rows(
            "SELECT k.teacher, count(*) AS n FROM selection_rows k WHERE k.selection_id = ? AND k.reason LIKE 'kept%' "
            "AND NOT EXISTS (SELECT 1 FROM rationales v WHERE v.run_id = ? AND v.step = ? AND NOT v.outdated "
            "AND v.sample_id = k.sample_id) GROUP BY k.teacher",
            [run.selection_id, run.id, step.name],
        )
        work: dict[str, int] = {}
        for row in waiting:
            spec = specs.get(row["teacher"])
            asked = row["teacher"] if spec and spec.provider != "recorded" else run.plan.compressor or ""
            work[asked] = work.get(asked, 0) + row["n"] * run.plan.check_level
        rows = self.context.db.remembered(
            "SELECT teacher, avg(latency_s)::DOUBLE AS s FROM attempts WHERE project_id = ? AND latency_s IS NOT NULL "
            "AND purpose IN (?, ?) AND error IS NULL GROUP BY teacher",
            [run.project_id, Purpose.LABEL.value, Purpose.COMPRESS.value],
        )
        took = {row["teacher"]: row["s"] for row in rows}
        if any(name not in took or name not in specs for name in work):
            return None
        return max((count * took[name] / specs[name].concurrency for name, count in work.items()), default=0.0)


def _train(run: Run, step: Step, sizes: Sizes, done: _Done) -> float | None:
    """Seconds of a whole train step: at its own pace, else at that of the run's others by the length of their rows."""
    updates = _updates(run, step, sizes, done)
    if step.name in done.gaps:
        return done.gaps[step.name] * updates
    steps = {other.name: other for other in run.plan.steps}
    seen = [(gap, _update_units(steps[name], sizes)) for name, gap in done.gaps.items() if name in steps]
    if not seen:
        return None
    return sum(gap for gap, _ in seen) / sum(units for _, units in seen) * _update_units(step, sizes) * updates


def _update_units(step: Step, sizes: Sizes) -> float:
    return step.train.batch_size * max(1.0, sizes.characters[step.dataset])


def _updates(run: Run, step: Step, sizes: Sizes, done: _Done) -> int:
    if step.name in done.most:
        return done.most[step.name]
    if step.equal_updates_to:
        steps = {other.name: other for other in run.plan.steps}
        return sum(_updates(run, steps[name], sizes, done) for name in step.equal_updates_to)
    rows = sizes.rows[step.dataset] + sum(source.share * sizes.rows[source.dataset] for source in step.replay)
    return step.train.updates or math.ceil(
        step.train.epochs * rows * (1 - step.train.validation) / step.train.batch_size
    )


def _write(run: Run, step: Step, sizes: Sizes, done: _Done) -> float | None:
    """Seconds of a whole step of writing: at its own pace, else at that of the others by what is to be written."""
    prompts = sizes.asked if step.kind == "answer" else sizes.held
    if step.name in done.latencies:
        return done.latencies[step.name] * prompts
    steps = {other.name: other for other in run.plan.steps}
    seen = [(steps[name], took) for name, took in done.latencies.items() if name in steps]
    alike = [took for other, took in seen if _taught(run, other) == _taught(run, step)]
    if alike:
        return sum(alike) / len(alike) * prompts
    units = sum(_answer_units(run, other, sizes) for other, _ in seen)
    return sum(took for _, took in seen) / units * _prompt_units(run, step, sizes) if seen else None


def _prompt_units(run: Run, step: Step, sizes: Sizes) -> float:
    return _answer_units(run, step, sizes) * (sizes.asked if step.kind == "answer" else sizes.held)


def _answer_units(run: Run, step: Step, sizes: Sizes) -> float:
    """What an answer takes, in characters written."""
    return sizes.written[_taught(run, step)] + _READING * sizes.prompt * (1 + step.shots) + 1


def _taught(run: Run, step: Step) -> str:
    """What the student of a step was taught last."""
    return next((other.dataset for other in run.plan.steps if other.name == step.start), "untrained")


def _share_left(run: Run, step: Step, sizes: Sizes, done: _Done) -> float:
    if step.kind == "train":
        made, of = done.updates.get(step.name, 0), _updates(run, step, sizes, done)
    else:
        made, of = done.answers.get(step.name, 0), sizes.asked if step.kind == "answer" else sizes.held
    return 1 - min(made, of) / of if of else 0.0


def _mean(values: Sequence[Any]) -> float:
    return sum(values) / len(values) if values else 0.0
