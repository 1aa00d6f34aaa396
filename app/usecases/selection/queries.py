"""Looking at what was selected: queries a page at a time, and all samples of one with their similarities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context
from app.usecases.workspace.paging import Rows, turn_to
from app.usecases.workspace.sheets import Sheet
from engine.errors import NotFound, StateError
from engine.selection.settings import SelectionConfig
from storage.projects import Project
from storage.selections import CONDITIONS, SORTS, Search

LISTED, _PAGES = 50, 50
"""Queries on a page of the list, and pages that are remembered."""
FILTERS = {name: name.capitalize() for name in CONDITIONS}
"""Titles of what the list can be narrowed to, by name."""


@dataclass(frozen=True)
class Detail:
    """One query with all its samples, their rationales as edited; `cosines` (k, k) of what the teachers wrote, in
    their order, None where vectors are missing.
    """

    id: str
    query: str
    samples: list[dict[str, Any]]
    cosines: list[list[float]] | None


@dataclass(frozen=True)
class BrowseService:
    """Use cases of browsing a selection."""

    context: Context
    select: SelectService
    pages: dict[str, Rows] = field(default_factory=dict)

    def page(self, project_name: str, text: str = "", which: str = "", sort: str = "", page: int = 1) -> Rows:
        """Queries that have samples, with what was kept of them, as `turn_to`.

        Rows hold `id`, `query`, `kept`, `samples`, `answers` and `cosine`. What is no filter or order counts as none.
        Pages are remembered until the samples or the selection are others, so that a page that is shown costs nothing
        while jobs write.
        """
        which, sort = which if which in CONDITIONS else "all", sort if sort in SORTS else ""
        search = self._search(project_name, text, which, sort)
        key = f"{search} {page} {self.context.samples.state(search.project_id)}"
        rows = self.pages.get(key)
        if rows is None:
            while len(self.pages) >= _PAGES:
                self.pages.pop(next(iter(self.pages)), None)
            rows = self.pages[key] = turn_to(
                page, LISTED, lambda begin: self.context.selections.find_page(search, begin, LISTED)
            )
        return rows

    def sheet(self, project_name: str, text: str = "", which: str = "", sort: str = "") -> Sheet:
        """All that `page` finds, whole; labels by teacher and draw, one behind the other."""
        which, sort = which if which in CONDITIONS else "all", sort if sort in SORTS else ""
        queries = self.context.selections.stream_found(self._search(project_name, text, which, sort))
        rows = ((*first, "; ".join(map(str, labels)), cosine) for *first, labels, cosine in queries)
        return Sheet(("query id", "query", "kept", "samples", "labels", "cosine of the kept pair"), rows)

    def matching(self, project_name: str, text: str, which: str, teacher: str | None) -> list[str]:
        """All samples of the queries that a search and a filter find, of one teacher or (None) all.

        Raises:
            StateError: if there is no such filter.
        """
        which = which or "all"
        if which not in CONDITIONS:
            raise StateError(f"there is no filter {which!r}; there are {', '.join(CONDITIONS)}")
        return self.context.selections.find_samples(self._search(project_name, text, which), teacher)

    def samples_of(self, project_name: str, queries: Sequence[str]) -> list[str]:
        """All samples of some queries, by their ids."""
        return self.context.selections.find_samples_of(self.context.projects.get(project_name).id, queries)

    def _search(self, project_name: str, text: str, which: str, sort: str = "") -> Search:
        project = self.context.projects.get(project_name)
        return Search(project.id, self._selection_id(project.id), text.strip(), which, sort)

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
        return Detail(query.id, query.text, samples, self._cosines(project, [s["text_hash"] for s in samples]))

    def query_of(self, project_name: str, sample_id: str) -> tuple[str, str]:
        """The id of the query that a sample answers, and its first 160 characters.

        Raises:
            NotFound: if the project has no such sample.
        """
        return self.context.selections.query_of(self.context.projects.get(project_name).id, sample_id)

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
