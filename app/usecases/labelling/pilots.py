"""Before the whole is paid for: a pilot of few queries under a cap, and what it says of the teachers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np

from app.usecases.labelling.label import LabelOrder, LabelService
from app.usecases.selection.behaviour import run_labels, settle_keys
from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context
from engine.costs import find_price
from engine.errors import ConfigError, StateError
from engine.evaluation.go_ahead import GoAhead, judge_pilot
from engine.evaluation.pilot import FAILED, PILOT, PilotFigures, PilotInput, find_outcome, measure_pilot
from engine.ports import RunsLabels
from engine.selection.arrays import Bools, Ints, arrange
from engine.selection.comparison import RIGHT, UNSCORED, WRONG
from engine.selection.factors import Scored
from engine.selection.select import count_labels, score_factors, select
from engine.selection.settings import SelectionConfig
from engine.tasks import get_task, verify_many
from engine.values import Event, Job, JobStatus, Query, Sample, Split, TeacherSpec
from storage.projects import Project

PILOT_COST = Decimal("1.00")
"""US dollars that a pilot may cost where no other cap is given."""
_MOST_MEASURED = 32
_KINDS = ("label", "batch", "ray-label")
_ENDS = {
    JobStatus.CAPPED: "it stopped at its cap",
    JobStatus.CANCELLED: "it was paused",
    JobStatus.FAILED: "its job failed",
    JobStatus.NEEDS_KEY: "it needs a key",
    JobStatus.INTERRUPTED: "it was interrupted",
    JobStatus.QUARANTINED: "its journal can't be read",
}


@dataclass(frozen=True)
class Pilot:
    """A pilot that was judged.

    `spent`: US dollars that its requests cost, None where that is not known; `cap` of its job, None where there was
    none. `ended` says how that job ended where it did not come to its end, "" where it did or there was none.
    `selection`: the settings that `kept` goes by. `failures`: samples without a reply by kind of error. `unasked`:
    teachers that have not been asked yet. `notes`: what could not be told, and why. `left`: whether queries are left.
    """

    figures: PilotFigures
    go_ahead: GoAhead
    selection: str
    failures: Mapping[str, int]
    spent: float | None
    cap: Decimal | None = None
    ended: str = ""
    unasked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left: bool = False


@dataclass(frozen=True)
class _Record:
    """What is stored of a pilot's queries."""

    project: Project
    golds: Mapping[str, str | None]
    asked: Sequence[Mapping[str, Any]]
    samples: Sequence[Sample]
    teachers: tuple[str, ...]
    unasked: tuple[str, ...]
    config: SelectionConfig
    whole: int


@dataclass(frozen=True)
class PilotService:
    """Use cases of pilots."""

    context: Context
    label: LabelService
    select: SelectService
    _measured: dict[str, PilotFigures] = field(default_factory=dict, repr=False, compare=False)

    def order(self, project_name: str, order: LabelOrder) -> LabelOrder:
        """The same teachers as a pilot: few queries to distill from, from this process, and never without a cap on
        money where one can hold: by prices that are known.

        Raises:
            ConfigError: if a teacher is unknown.
            StateError: if nobody can be asked.
        """
        chosen = self.label.choose(self.context.projects.get(project_name), order.teachers)
        priced = all(find_price(spec) is not None for spec in chosen)
        cap = order.max_cost if order.max_cost is not None or not priced else PILOT_COST
        return replace(order, limit=PILOT, splits=(Split.DISTILL,), engine="process", max_cost=cap, retry=())

    def can_ask(self, project_name: str) -> bool:
        """Whether the project has a teacher that is no recording."""
        specs = self.context.projects.teachers(self.context.projects.get(project_name).id)
        return any(spec.provider != "recorded" for spec in specs)

    def settle(self, project_name: str, on_event: Callable[[Event], None] = lambda event: None) -> None:
        """Have answers that are programs run by a worker, so that it is known which agree. Raises as `run_labels`."""
        settle_keys(self.context, self.context.projects.get(project_name), on_event)

    def look(self, project_name: str, run: bool = False) -> Pilot | None:
        """What the pilot's queries say, from what is stored; None where no query to distill from was asked.

        `run`: have answers that are programs verified by a worker too. Else judged once between two writes.

        Raises:
            StateError: if answers are programs that were not run yet.
            MissingPart: if they are, are to be verified and nothing can run them here.
        """
        project = self.context.projects.get(project_name)
        if run:
            return self._look(project, run)
        return self.context.db.once(f"pilot of {project.id}", lambda: self._look(project, run))

    def _look(self, project: Project, run: bool) -> Pilot | None:
        job = next((job for job in self.context.jobs.jobs_of(project.id) if is_pilot(job)), None)
        record = self._read(project, job)
        return None if record is None else self._tell_job(record, job, self._judge(record, run))

    def _read(self, project: Project, job: Job | None) -> _Record | None:
        chosen = self.context.pilots.queries(project.id, PILOT)
        if not chosen:
            return None
        golds = {row["id"]: row["gold"] for row in chosen}
        specs = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        outcomes = [row for row in self.context.pilots.outcomes(project.id, list(golds)) if row["teacher"] in specs]
        given_up = {name: error for name, error in self._given_up(job).items() if name in specs}
        names = sorted({*(row["teacher"] for row in outcomes), *given_up})
        missing = [_not_asked(specs[name], error, outcomes, list(golds)) for name, error in given_up.items()]
        asked = [*outcomes, *(row for rows in missing for row in rows)]
        samples = [s for s in self.context.pilots.samples(project.id, list(golds)) if s.teacher in names]
        task = get_task(project.config.task)
        if isinstance(task, RunsLabels) and not all(task.is_settled(sample.label_key) for sample in samples):
            raise StateError(
                "The answers of this pilot are programs that were not run yet, so it is not known which agree. "
                f"`tacit label {project.name} --pilot` runs them, and so does selecting."
            )
        config = self.select.begin(project.name).config
        unasked = tuple(name for name in specs if name not in names)
        whole = self.context.queries.counts(project.id).get(Split.DISTILL, 0)
        return _Record(project, golds, asked, samples, tuple(names), unasked, config, whole) if names else None

    def _given_up(self, job: Job | None) -> dict[str, str]:
        """The teachers that a pilot's job gave up, each with the kind of error that further requests meet too."""
        events = [] if job is None else self.context.jobs.events(job.id, kinds=("teacher_stopped",))
        return {str(event.data["teacher"]): str(event.data.get("error", "")) for event in events}

    def _judge(self, record: _Record, run: bool) -> Pilot:
        place = {query_id: number for number, query_id in enumerate(record.golds)}
        teacher = {name: number for number, name in enumerate(record.teachers)}
        queries = self.context.queries.some(record.project.id, list(place))
        labels = count_labels(list(queries.values()))
        kept, notes = _keep(record, labels)
        verdict, more = self._verify(record, queries, run)
        costs = np.zeros(len(place))
        for row in record.asked:
            costs[place[row["query_id"]]] += np.nan if row["cost"] is None else row["cost"]
        given = PilotInput(
            teachers=record.teachers,
            asked_query=_ints(place[row["query_id"]] for row in record.asked),
            asked_teacher=_ints(teacher[row["teacher"]] for row in record.asked),
            outcome=_ints(find_outcome(row["read"], row["error"]) for row in record.asked),
            query=_ints(place[sample.query_id] for sample in record.samples),
            teacher=_ints(teacher[sample.teacher] for sample in record.samples),
            label=np.unique([s.label_key for s in record.samples], return_inverse=True)[1].astype(np.int64),
            kept=kept,
            verdict=verdict,
            cost=costs,
            label_space=labels,
            whole=record.whole,
        )
        figures = self._measure(given)
        failed = Counter(str(row["error"]) for row in record.asked if find_outcome(row["read"], row["error"]) == FAILED)
        return Pilot(
            figures=figures,
            go_ahead=judge_pilot(figures),
            selection=record.config.title,
            failures=dict(failed.most_common()),
            spent=None if np.isnan(costs).any() else float(costs.sum()),
            unasked=record.unasked,
            notes=(*notes, *more),
        )

    def _measure(self, given: PilotInput) -> PilotFigures:
        """What a pilot comes to; while others' samples are written, that of a pilot that is over is known already."""
        key = given.fingerprint
        if key not in self._measured:
            while len(self._measured) >= _MOST_MEASURED:
                self._measured.pop(next(iter(self._measured)), None)
            self._measured[key] = measure_pilot(given)
        return self._measured[key]

    def _verify(self, record: _Record, queries: Mapping[str, Query], run: bool) -> tuple[Ints, list[str]]:
        """Whether each label is right by gold, (N,), and why that is not told of programs."""
        task = get_task(record.project.config.task)
        cases = {(s.query_id, s.label): gold for s in record.samples if (gold := record.golds[s.query_id]) is not None}
        asked = [(queries[query_id], label, gold) for (query_id, label), gold in cases.items()]
        if isinstance(task, RunsLabels) and not run:
            note = "Answers are programs, which this page does not verify: `tacit label --pilot` runs them."
            return np.full(len(record.samples), UNSCORED), [note] if asked else []
        ran = (
            run_labels(self.context, record.project, asked)
            if isinstance(task, RunsLabels)
            else verify_many(task, asked)
        )
        right = dict(zip(cases, map(bool, ran), strict=True))
        verdicts = [right.get((sample.query_id, sample.label)) for sample in record.samples]
        return _ints(UNSCORED if one is None else RIGHT if one else WRONG for one in verdicts), []

    def _tell_job(self, record: _Record, job: Job | None, pilot: Pilot) -> Pilot:
        """The same with what is known of the job that asked, and whether anything is left to ask."""
        cap = None if job is None or job.spec.get("max_cost") is None else Decimal(job.spec["max_cost"])
        ended = _ENDS.get(job.status, "") if job is not None else ""
        left = self.can_ask(record.project.name) and pilot.figures.whole > self._asked(record.project)
        return replace(pilot, cap=cap, ended=ended, left=left)

    def _asked(self, project: Project) -> int:
        """Queries to distill from that some teacher answered."""
        return self.context.pilots.count_answered(project.id)


def is_pilot(job: Job) -> bool:
    """Whether a job asks but few of the queries."""
    return job.kind in _KINDS and bool(job.spec.get("limit"))


def _not_asked(
    spec: TeacherSpec, error: str, outcomes: Sequence[Mapping[str, Any]], query_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """What a teacher that was given up was not asked of a pilot's queries, failed by what it was given up for."""
    there = Counter(row["query_id"] for row in outcomes if row["teacher"] == spec.name)
    nothing = {"teacher": spec.name, "read": False, "error": error, "cost": 0.0}
    return [{**nothing, "query_id": id_} for id_ in query_ids for _ in range(max(0, spec.draws - there[id_]))]


def _keep(record: _Record, labels: int) -> tuple[Bools | None, list[str]]:
    """What the project's settings of selection keep, (N,): how many is asked, so no vectors of rationales are needed.

    Which two of a query's rationales are least alike says who is kept, not how many.
    """
    task, samples = get_task(record.project.config.task), record.samples
    if not samples:
        return np.zeros(0, dtype=bool), []
    arranged = arrange(samples, task.factors, np.zeros((len(samples), 1), dtype=np.float32))
    columns = {name: arranged.factors[:, place] for place, name in enumerate(arranged.names)}
    given = Scored(
        arranged.query,
        arranged.teacher,
        arranged.label,
        label_space=lambda: labels,
        texts=lambda: [sample.rationale for sample in samples],
        evidence=lambda: arranged.evidence,
    )
    try:
        if record.config.needs_confidence:
            columns = score_factors(record.config.weights, columns, given)
        factors = np.stack(list(columns.values()), axis=1) if columns else np.empty((len(samples), 0))
        return select(replace(arranged, factors=factors, names=tuple(columns)), record.config).kept, []
    except ConfigError as error:
        return None, [f"What selection would keep is not known: {error}."]


def _ints(values: Any) -> Ints:
    return np.fromiter(values, dtype=np.int64)
