"""What teachers have answered in a project so far: samples, failures, replies, and what is left to ask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from app.usecases.labelling.progress import Asking, read_progress
from app.usecases.workspace.context import Context
from app.usecases.workspace.paging import Rows, turn_to
from app.usecases.workspace.sheets import Sheet, read_moment
from engine.errors import ErrorKind
from engine.values import Purpose, Split
from storage.failures import SORTS, FailureQuery
from storage.projects import Project

FAILURES = {
    ErrorKind.RATE_LIMIT: "Rate limited",
    ErrorKind.SERVER: "Server error",
    ErrorKind.TIMEOUT: "Timed out",
    ErrorKind.STALLED: "Stalled",
    ErrorKind.CONNECTION: "No connection",
    ErrorKind.AUTH: "Key refused",
    ErrorKind.QUOTA: "Out of quota",
    ErrorKind.REFUSED: "Model declined",
    ErrorKind.TRUNCATED: "Cut off at the token limit",
    ErrorKind.UNPARSABLE: "Could not be parsed",
    ErrorKind.NOT_A_CHOICE: "Not among the choices",
    ErrorKind.CONTENT_FILTER: "Content filter",
    ErrorKind.BAD_REQUEST: "Bad request",
    ErrorKind.NOT_JSON: "Not JSON",
    ErrorKind.REDIRECT: "Redirected elsewhere",
    ErrorKind.UNKNOWN_QUERY: "Not in the recording",
}
"""Kinds of errors as a person says them."""
LISTED = 10
"""Failures on a page of the list."""


def say_failure(error: str) -> str:
    """A kind of error as a person says it."""
    return FAILURES[ErrorKind(error)] if error in set(ErrorKind) else error.replace("_", " ").capitalize()


@dataclass(frozen=True)
class Labelling:
    """What labelling a project is up to: queries to distill from and held out, teachers, samples that are there."""

    distill: int
    heldout: int
    askable: int
    recorded: int
    samples: int

    @property
    def queries(self) -> int:
        return self.distill + self.heldout


@dataclass(frozen=True)
class AnswerService:
    """Use cases of looking at answers."""

    context: Context

    def labelling(self, project: Project) -> Labelling:
        """What there is in a project for labelling."""
        counts = self.context.queries.counts(project.id)
        providers = [spec.provider for spec in self.context.projects.teachers(project.id)]
        recorded = providers.count("recorded")
        samples = sum(row["samples"] for row in self.counts(project))
        return Labelling(
            counts.get(Split.DISTILL, 0), counts.get(Split.HELDOUT, 0), len(providers) - recorded, recorded, samples
        )

    def counts(self, project: Project) -> list[dict[str, Any]]:
        """By teacher: samples to distill from, and failures, which are attempts that no sample followed."""
        return self.context.samples.counts(project.id)

    def counts_and_costs(self, project: Project) -> list[dict[str, Any]]:
        """The same with input_tokens (what was read for it) and cost (US dollars; None: some of it unknown)."""
        money = {(row["teacher"], row["purpose"]): row for row in self.context.ledger.totals(project.id)}
        rows = []
        for row in self.counts(project):
            own = money.get((row["teacher"], Purpose.LABEL.value), {})
            cost = None if own.get("unknown_cost") else own.get("cost_usd", 0)
            rows.append({**row, "input_tokens": own.get("input_tokens") or 0, "cost": cost})
        return rows

    def failures(self, project: Project) -> list[dict[str, Any]]:
        """What gave no sample, of both splits, by kind of error. Keys: teacher, error, n (each asked again once)."""
        return self.context.samples.failures(project.id)

    def missing(self, project: Project) -> list[dict[str, Any]]:
        """How many samples are missing since their requests failed, by teacher and kind of error.

        Keys: teacher, error, n. One that a good reply followed later is not among them.
        """
        return self.context.failures.by_kind(project.id)

    def failed_page(self, project_name: str, sought: FailureQuery, page: int = 1) -> Rows:
        """Some of those, as `turn_to`; an order that there is not counts as none.

        Rows hold `id`, `teacher`, `error`, `query` and `tries`.
        """
        project_id, find = self.context.projects.get(project_name).id, self.context.failures.find_page
        return turn_to(page, LISTED, lambda begin: find(project_id, _known(sought), begin, LISTED))

    def failed_sheet(self, project_name: str, sought: FailureQuery) -> Sheet:
        """All that `failed_page` finds, with what was replied."""
        project_id = self.context.projects.get(project_name).id
        failures = self.context.failures.stream_found(project_id, _known(sought))
        rows = (
            (query, who, say_failure(kind), *details, read_moment(at)) for query, who, kind, *details, at in failures
        )
        return Sheet(("query", "teacher", "kind", "message", "reply", "tries", "asked (UTC)"), rows)

    def failed_one(self, project_name: str, attempt: str) -> dict[str, Any]:
        """One failed attempt. Keys: teacher, error, message, raw, finish_reason, query, split, at, output_tokens.

        Raises:
            NotFound: if there is none.
        """
        return self.context.failures.find_one(self.context.projects.get(project_name).id, attempt)

    def progress(self, project: Project, *kinds: str) -> Asking | None:
        """How far the newest job of these kinds is (none given: labelling or grading); None where there was none."""
        return read_progress(self.context, project, *kinds)

    def last_replies(self, project: Project) -> list[dict[str, Any]]:
        """The newest replies, newest first. Keys: teacher, error (None: it could be read), raw (clipped)."""
        return self.context.samples.last_replies(project.id)


def _known(sought: FailureQuery) -> FailureQuery:
    return sought if sought.sort in SORTS else replace(sought, sort="")
