"""Looking at the queries that a project has: a page of them at a time, and one whole."""

from __future__ import annotations

from dataclasses import dataclass

from app.usecases.workspace.context import Context
from app.usecases.workspace.paging import Rows, turn_to
from app.usecases.workspace.sheets import Sheet
from engine.values import Query
from storage.queries import SORTS, SPLITS

LISTED = 25
"""Queries on a page of the list."""
WHICH = {"all": "All", "distill": "To distill from", "heldout": "Held out", "gold": "With a gold label"}
"""Titles of what the list can be narrowed to."""
SPLIT_TITLES = {"distill": "To distill from", "heldout": "Held out"}


@dataclass(frozen=True)
class QueryTotals:
    """How many queries a project has: by split, with a gold label (of all, and of the held-out), and by kind."""

    distill: int
    heldout: int
    gold: int
    heldout_gold: int
    kinds: dict[str, int]

    @property
    def total(self) -> int:
        return self.distill + self.heldout


@dataclass(frozen=True)
class StoredQueryService:
    """Use cases of looking at queries."""

    context: Context

    def totals(self, project_name: str) -> QueryTotals:
        """What there is."""
        queries, id_ = self.context.queries, self.context.projects.get(project_name).id
        counts, labelled = queries.counts(id_), queries.count_labelled(id_)
        return QueryTotals(
            distill=counts.get("distill", 0),
            heldout=counts.get("heldout", 0),
            gold=sum(labelled.values()),
            heldout_gold=labelled.get("heldout", 0),
            kinds=queries.kinds(id_),
        )

    def page(self, project_name: str, text: str = "", which: str = "", sort: str = "", page: int = 1) -> Rows:
        """Some of the queries, each with `id`, `text`, `kind`, `split` and `gold`, as `turn_to`.

        What is no filter or order counts as none.
        """
        find = self._find(project_name, text, which, sort)
        return turn_to(page, LISTED, lambda begin: self.context.queries.find_page(*find, begin, LISTED))

    def sheet(self, project_name: str, text: str = "", which: str = "", sort: str = "") -> Sheet:
        """All that `page` finds, whole; the columns are named so that they can be imported again."""
        columns = ("id", "key", "question", "choices", "kind", "split", "gold label")
        return Sheet(columns, self.context.queries.stream_found(*self._find(project_name, text, which, sort)))

    def _find(self, project_name: str, text: str, which: str, sort: str) -> tuple[str, str, str, str]:
        project = self.context.projects.get(project_name)
        return project.id, text, which if which in SPLITS else "all", sort if sort in SORTS else ""

    def one(self, project_name: str, query_id: str) -> tuple[Query, str | None]:
        """A query, and its gold label if it has one.

        Raises:
            NotFound: if there is none of that id.
        """
        project = self.context.projects.get(project_name)
        return (
            self.context.queries.find_one(project.id, query_id),
            self.context.queries.find_gold(project.id, query_id),
        )
