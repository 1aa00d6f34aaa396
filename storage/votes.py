"""Blind votes: which of two systems answered a query better."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any, Literal, get_args

from storage.db import Database
from storage.projects import now

Verdict = Literal["first", "second", "both", "neither"]
VERDICTS = get_args(Verdict)


@dataclass(frozen=True)
class Vote:
    """One vote. Systems are named as a person knows them, by run and stage or by teacher."""

    query: str
    first: str
    second: str
    first_text: str
    second_text: str
    verdict: Verdict


class Votes:
    """Table family of votes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, project_id: str, vote: Vote) -> None:
        """Store a vote."""
        with self._db.write() as writer:
            writer.run(
                "INSERT INTO votes (project_id, query, first, second, first_text, second_text, verdict, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [project_id, *astuple(vote), now()],
            )

    def count(self, project_id: str) -> int:
        """How many votes there are."""
        return int(self._db.remembered("SELECT count(*) AS n FROM votes WHERE project_id = ?", [project_id])[0]["n"])

    def tally(self, project_id: str) -> list[dict[str, Any]]:
        """By pair of systems, whichever stood first: votes, and how often each was better, both or neither good."""
        return self._db.rows(
            "SELECT least(first, second) AS system, greatest(first, second) AS other, count(*) AS votes, "
            "count(*) FILTER (WHERE better = least(first, second)) AS better, "
            "count(*) FILTER (WHERE better = greatest(first, second)) AS worse, "
            "count(*) FILTER (WHERE verdict = 'both') AS both_good, "
            "count(*) FILTER (WHERE verdict = 'neither') AS neither_good "
            "FROM (SELECT *, CASE verdict WHEN 'first' THEN first WHEN 'second' THEN second END AS better FROM votes) "
            "WHERE project_id = ? GROUP BY ALL ORDER BY votes DESC, system, other",
            [project_id],
        )
