"""How long the rest of a run will take, scoring included: by what it has done so far, else by its forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.usecases.context import Context
from app.usecases.forecasting import ForecastService
from app.usecases.stages import StageBuilder
from engine.errors import TacitError
from engine.forecasts import TO_WRITE, Forecast
from engine.plans import Compress
from engine.remaining import Done, Left, Sizes, estimate_left
from engine.types import JobStatus, Purpose, Split
from storage.runs import Run, StepState

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
class RemainingService:
    """Use cases of the time that is left."""

    context: Context
    forecast: ForecastService
    _sizes: dict[str, Sizes] = field(default_factory=dict)

    def left(self, run: Run, states: Sequence[StepState]) -> Left | None:
        """What is left of a run; None where neither its own pace nor a forecast is known yet."""
        sizes, done = self._size(run), self._look(run)
        finished = {state.name for state in states if state.status is JobStatus.FINISHED}
        waiting = [step for step in run.plan.steps if isinstance(step, Compress) and step.name not in finished]
        compressing = {step.name: self._compress(run, step, sizes) for step in waiting}
        return estimate_left(run.plan, finished, sizes, done, compressing, self._find_forecast(run))

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

    def _look(self, run: Run) -> Done:
        paces = self.context.db.rows(_GAPS, [run.id])
        updates = self.context.db.rows(
            "SELECT step, max(update_no) AS n FROM metrics WHERE run_id = ? GROUP BY step", [run.id]
        )
        answers = self.context.db.rows(
            "SELECT step, count(*) AS n, avg(latency_s) AS latency FROM answers WHERE run_id = ? GROUP BY step",
            [run.id],
        )
        return Done(
            gaps={row["step"]: row["gap"] for row in paces if row["gap"]},
            most={row["step"]: row["most"] for row in paces},
            updates={row["step"]: row["n"] for row in updates},
            answers={row["step"]: row["n"] for row in answers},
            latencies={row["step"]: row["latency"] for row in answers if row["latency"]},
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


def _mean(values: Sequence[Any]) -> float:
    return sum(values) / len(values) if values else 0.0
