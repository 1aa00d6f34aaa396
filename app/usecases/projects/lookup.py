"""Projects by name, and who answers in them."""

from __future__ import annotations

from dataclasses import dataclass

from app.usecases.workspace.context import Context
from engine.values import TeacherSpec
from storage.projects import Project


@dataclass(frozen=True)
class ProjectService:
    """Use cases of finding a project."""

    context: Context

    def get(self, name: str) -> Project:
        """A project by its name or id.

        Raises:
            NotFound: if there is none.
        """
        return self.context.projects.get(name)

    def all(self) -> list[Project]:
        """All projects, oldest first, archived ones too."""
        return self.context.projects.all()

    def names(self) -> list[str]:
        """Their names, in the same order."""
        return [project.name for project in self.all()]

    def teachers(self, project: Project) -> list[TeacherSpec]:
        """A project's teachers by name, recordings among them."""
        return self.context.projects.teachers(project.id)
