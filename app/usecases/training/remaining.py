"""How long the rest of a run will take, scoring included: by what it has done so far, else by its forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.usecases.training.forecasts import ForecastService
from app.usecases.training.materials import StageBuilder
from app.usecases.workspace.context import Context
from engine.compression import COMPRESSORS
from engine.datasets import DATASETS
from engine.errors import TacitError
from engine.forecasts import UNTRAINED, Forecast, guess_length
from engine.plans import Compress
from engine.remaining import Done, Left, Sizes, estimate_left
from engine.values import JobStatus, Split
from storage.runs import Run, StepState

_CHARACTERS = 4
"""Of a token, at most, where the bound on what is written cuts a rationale off."""


@dataclass(frozen=True)
class RemainingService:
    """Use cases of the time that is left."""

    context: Context
    forecast: ForecastService
    _sizes: dict[str, Sizes] = field(default_factory=dict)

    def left(self, run: Run, states: Sequence[StepState]) -> Left | None:
        """What is left of a run; None where neither its own pace nor a forecast is known yet."""
        if run.plan.missing:
            return None
        sizes, done = self._size(run), self._look(run)
        finished = {state.name for state in states if state.status is JobStatus.FINISHED}
        waiting = [step for step in run.plan.steps if isinstance(step, Compress) and step.name not in finished]
        compressing = {step.name: self._compress(run, step, sizes) for step in waiting}
        return estimate_left(run.plan, finished, sizes, done, compressing, self._find_forecast(run))

    def _size(self, run: Run) -> Sizes:
        """Measured once a run: its selection and its held-out queries stay."""
        if run.id not in self._sizes:
            builder = StageBuilder(self.context, run)
            taught = {name for step in run.plan.trained for name in (step.dataset, *(s.dataset for s in step.replay))}
            measured = {name: _measure_rows(builder, name) for name in taught}
            prompt = max((size.prompt for size in measured.values()), default=0.0)
            task = builder.pipeline.material.task
            said = _mean([len(task.complete(e.rationale, e.label)) for e in builder.examples])
            most = run.plan.student.generate_tokens * _CHARACTERS
            self._sizes[run.id] = Sizes(
                rows={name: size.rows for name, size in measured.items()},
                characters={name: prompt + size.completion for name, size in measured.items()},
                written={UNTRAINED: min(most, said * guess_length(UNTRAINED))}
                | {name: min(most, size.completion) for name, size in measured.items()},
                asked=len({example.query.id for example in builder.examples}),
                heldout=len(self.context.queries.get(run.project_id, Split.HELDOUT)),
                prompt=prompt,
            )
        return self._sizes[run.id]

    def _look(self, run: Run) -> Done:
        paces, written = self.context.runs.paces(run.id), self.context.runs.written(run.id)
        return Done(
            gaps={step: gap for step, (gap, _) in paces.items() if gap},
            most={step: most for step, (_, most) in paces.items()},
            updates=self.context.runs.updates(run.id),
            answers={step: n for step, (n, _) in written.items()},
            latencies={step: latency for step, (_, latency) in written.items() if latency},
        )

    def _find_forecast(self, run: Run) -> Forecast | None:
        """What was measured before, for a run of the selection that was measured."""
        project = self.context.projects.get(run.project_id)
        try:
            latest = self.context.selections.latest(project.id).id == run.selection_id
            return self.forecast.find(project.name, run.plan) if latest else None
        except TacitError:  # the measuring failed, or there is no selection any more
            return None

    def _compress(self, run: Run, step: Compress, sizes: Sizes) -> float | None:
        """Seconds that teachers take for what is left to compress, by how long their answers took so far.

        None where it is not known: nobody measured a worker.
        """
        by = COMPRESSORS.get(step.by)
        if not by.needs_teacher:
            return None if by.worker else 0.0
        specs = {spec.name: spec for spec in self.context.projects.teachers(run.project_id)}
        work: dict[str, int] = {}
        for teacher, count in self.context.rationales.count_left(run, step.name).items():
            spec = specs.get(teacher)
            asked = teacher if spec and spec.provider != "recorded" else run.plan.compressor or ""
            work[asked] = work.get(asked, 0) + count * run.plan.check_level
        took = self.context.ledger.latencies(run.project_id)
        if any(name not in took or name not in specs for name in work):
            return None
        return max((count * took[name] / specs[name].concurrency for name, count in work.items()), default=0.0)


class _Measured(NamedTuple):
    """Rows of a dataset, and mean characters of their prompts and completions."""

    rows: int
    prompt: float
    completion: float


def _measure_rows(builder: StageBuilder, dataset: str) -> _Measured:
    """A dataset as it is; where a compress step makes it, as the one that stands in for it, at its length."""
    kind = DATASETS.get(dataset)
    rows = builder.rows(kind.stand_in or dataset)
    share = kind.length / DATASETS.get(kind.stand_in).length if kind.stand_in else 1.0
    prompts = [sum(len(text) for _, text in row.prompt) for row in rows]
    return _Measured(len(rows), _mean(prompts), share * _mean([len(row.completion) for row in rows]))


def _mean(values: Sequence[Any]) -> float:
    return sum(values) / len(values) if values else 0.0
