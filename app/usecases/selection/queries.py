"""Looking at what was selected: queries a page at a time, and all samples of one with their similarities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context
from engine.errors import NotFound, StateError
from engine.selection.settings import SelectionConfig
from storage.projects import Project
from storage.selections import CONDITIONS, Search

LISTED = 50
"""Queries on a page of the list."""
FILTERS = tuple(CONDITIONS)
"""Which queries are shown, by name."""


@dataclass(frozen=True)
class Detail:
    """One query with all its samples, their rationales as edited; `cosines` (k, k) of what the teachers wrote, in
    their order, None where vectors are missing.
    """

    query: str
    samples: list[dict[str, Any]]
    cosines: list[list[float]] | None


@dataclass(frozen=True)
class BrowseService:
    """Use cases of browsing a selection."""

    context: Context
    select: SelectService

    def queries(self, project_name: str, search: str = "", which: str = "all", after: int = 0) -> list[dict[str, Any]]:
        """The next 50 queries behind a position that have samples, with what was kept of them.

        Raises:
            StateError: if there is no such filter.
        """
        return self.context.selections.find_queries(self._search(project_name, search, which, after), LISTED)

    def matching(self, project_name: str, search: str, which: str, teacher: str | None) -> list[str]:
        """All samples of the queries that a search and a filter find, of one teacher or (None) all.

        Raises:
            StateError: if there is no such filter.
        """
        return self.context.selections.find_samples(self._search(project_name, search, which), teacher)

    def _search(self, project_name: str, text: str, which: str, after: int = 0) -> Search:
        if which not in FILTERS:
            raise StateError(f"there is no filter {which!r}; there are {', '.join(FILTERS)}")
        project = self.context.projects.get(project_name)
        return Search(project.id, self._selection_id(project.id), text.strip(), which, after)

    def settings(self, project_name: str) -> SelectionConfig:
        """The settings of a project's newest selection.

        Raises:
            NotFound: if nothing was selected yet.
        """
        return self.context.selections.latest(self.context.projects.get(project_name).id).config

    def detail(self, project_name: str, query_id: str) -> Detail:
        """One query with all its samples, reasons and similarities.

        Raises:
            NotFound: if the project has no such query.
        """
        project = self.context.projects.get(project_name)
        try:
            query = self.context.queries.find_one(project.id, query_id)
        except NotFound:
            raise NotFound(f"there is no query {query_id} in {project.name!r}") from None
        samples = self.context.selections.samples_of(project.id, self._selection_id(project.id), query_id)
        edits = self.context.overrules.edits(project.id, [sample["id"] for sample in samples])
        for sample in samples:
            number, text = edits.get(sample["id"], (0, sample["rationale"]))
            sample |= {"edit": number, "rationale": text}
        return Detail(query.text, samples, self._cosines(project, [s["text_hash"] for s in samples]))

    def _selection_id(self, project_id: str) -> str:
        try:
            return self.context.selections.latest(project_id).id
        except NotFound:
            return ""

    def _cosines(self, project: Project, hashes: list[str]) -> list[list[float]] | None:
        for embedder in self.select.embedders(project):
            vectors = self.context.samples.vectors_of(embedder, hashes)
            if hashes and all(name in vectors for name in hashes):
                matrix = np.stack([vectors[name] for name in hashes])
                matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
                cosines: list[list[float]] = (matrix @ matrix.T).round(4).tolist()
                return cosines
        return None
