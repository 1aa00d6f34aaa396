"""Plans for a project, and what somebody should know of one before it is started."""

from __future__ import annotations

from dataclasses import dataclass

from app.usecases.workspace.context import Context
from engine import plans
from engine.errors import TacitError
from engine.plans import Plan
from engine.plans.order import PlanOrder
from engine.plans.registry import lacks_compression
from engine.students import find_student


@dataclass(frozen=True)
class PlanService:
    """Use cases of plans."""

    context: Context

    def make(self, project_name: str, order: PlanOrder) -> Plan:
        """A plan as ordered. Where the teachers are recordings and no live compressor is named, nothing is compressed.

        Raises:
            ConfigError: if a name is unknown or the stages can't be read.
        """
        project = self.context.projects.get(project_name)
        providers = {spec.provider for spec in self.context.projects.teachers(project.id)}
        return plans.make_plan(order, recorded="recorded" in providers)


def plan_notes(plan: Plan) -> list[str]:
    """What somebody should know of a plan before it is started, without asking anybody outside this machine."""
    notes = []
    if lacks_compression(plan):
        notes.append(
            "Stage 2 is left out: recorded teachers can't rewrite what they said, and nobody is named to compress in "
            "their place. Name a live teacher of the project as compressor to have it."
        )
    try:
        if not find_student(plan.student):
            notes.append(f"{plan.student.model} is not on this machine; Start asks the Hub for it.")
    except TacitError as error:
        notes.append(f"The student can't be had: {error}")
    return notes
