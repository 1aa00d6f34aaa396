"""Requests that an earlier job sent and whose end nobody knows, since it was cut off: asked again with care."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.usecases.workspace.context import Context
from engine.labelling.grading import GradeWork
from engine.labelling.online import LabelWork, missing_keys
from engine.values import Purpose, TeacherSpec


@dataclass(frozen=True)
class OpenRequests:
    """By sample the idempotency key that its request went out under, and US dollars that it costs at most."""

    sent: Mapping[str, tuple[str, Decimal]]

    @property
    def keys(self) -> dict[str, str]:
        """The keys, by sample: the same request goes out under the same key once more."""
        return {sample: key for sample, (key, _) in self.sent.items()}

    def bound_labels(self, works: Iterable[LabelWork], asked: Sequence[TeacherSpec]) -> Decimal:
        """US dollars that those of them came to at most that are asked for again: a cap on money counts them."""
        return self._bound(key.id for work in works for spec in asked for key in missing_keys(work, spec))

    def bound_grades(self, work: GradeWork) -> Decimal:
        """As `bound_labels`, of grades."""
        return self._bound(s.id for teacher in work.teachers for s in work.find_missing(teacher.spec.name))

    def _bound(self, samples: Iterable[str]) -> Decimal:
        again = set(samples) & self.sent.keys() if self.sent else set()
        return sum((self.sent[sample][1] for sample in again), Decimal(0))


def find_left(context: Context, project_id: str, *purposes: Purpose) -> OpenRequests:
    """What jobs of a project that are over have left of some purposes."""
    return OpenRequests(context.intents.left(project_id, purposes))
