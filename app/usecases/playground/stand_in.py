"""Who answers for a student while a job has the device: the record, or a second copy of a small one beside the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.usecases.playground.process import StudentProcess
from app.usecases.workspace.context import Context
from engine.errors import TacitError
from engine.packaged import is_packaged
from engine.values import Query
from engine.values.run import Generation
from storage.runs import Run

FROM_RECORD = "From the record: a job has the device, so this is what it wrote when it was evaluated."
BESIDE = "A job has the device, so a second copy of this student answers on one processor, which is slower."
MEANWHILE = (
    "Students answer from the record where they were evaluated on the query, else a second copy of the packaged "
    "student does, on one processor. Teachers answer as ever."
)
_SPARE_IDLE_S = 120.0
_SPARE = {"CUDA_VISIBLE_DEVICES": "", "TACIT_THREADS": "1"}
"""It takes no device from the job, and one processor at most."""


def make_spare() -> StudentProcess:
    """The process that a second copy lives in, for as long as somebody asks."""
    return StudentProcess(idle_s=_SPARE_IDLE_S, more=_SPARE)


@dataclass(frozen=True)
class StandIns:
    """What is known of students without their device, and the process for a second copy."""

    context: Context
    spare: StudentProcess = field(default_factory=make_spare)

    def all_can(self, ids: Sequence[str], query: Query | None) -> bool:
        """Whether somebody stands in for each of these students; without a query, for some query at least."""
        return all(self._can(id_, query) for id_ in ids)

    def _can(self, id_: str, query: Query | None) -> bool:
        _, run_id, step = id_.split(" ", 2)
        try:
            run = self.context.runs.get(run_id)
        except TacitError:
            return False
        return is_small(run) or self.find(run, step, query) is not None

    def find(self, run: Run, step: str, query: Query | None) -> Generation | None:
        """What the student of a step wrote to a query when it was evaluated; without a query, any of it."""
        scored = next((scored for scored in run.plan.evaluated if scored.start == (step or None)), None)
        if scored is None or scored.shots:
            return None
        return self.context.runs.find_answer(run.id, scored.name, query.id if query else "")


def is_small(run: Run) -> bool:
    """Whether a second copy of a run's student fits beside a training: the packaged one takes 0.3 GB."""
    return is_packaged(run.plan.student.model)
