"""Requests whose end is not known: journaled before they were sent, and nothing came of them yet, or ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from engine.errors import ErrorKind
from engine.values import MOST_COST, Event, Job
from storage.db import Database, Transaction

_OPEN, _TOLD, _AGAIN = "open", "told", "again"
_OVER = "JOIN jobs j ON j.id = i.job_id AND j.status NOT IN ('queued', 'running')"
"""A job that still runs has requests in flight; their end is awaited."""
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("project_id", "job_id", "id")),
        ("at", pa.float64()),
        *((name, pa.string()) for name in ("teacher", "purpose", "request", "sent_as", "worst")),
        ("requests", pa.int64()),
        ("state", pa.string()),
    ]
)


class Intents:
    """Table family of announced requests."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def unknown_ends(self, only: str | None = None) -> list[dict[str, Any]]:
        """Requests of jobs that are over and of which nobody knows whether they were billed, over all projects or one.

        Keys: project (its name), teacher, purpose, requests, most (US dollars that they cost at most, of those whose
        price is known), unpriced (requests without a known price), again (those that were asked again under the same
        idempotency key and answered).
        """
        return self._db.remembered(
            "SELECT p.name AS project, i.teacher, i.purpose, sum(i.requests)::BIGINT AS requests, "
            "coalesce(sum(i.worst), 0) AS most, "
            "coalesce(sum(i.requests) FILTER (WHERE i.worst IS NULL), 0)::BIGINT AS unpriced, "
            f"coalesce(sum(i.requests) FILTER (WHERE i.state = '{_AGAIN}'), 0)::BIGINT AS again "
            f"FROM intents i {_OVER} JOIN projects p ON p.id = i.project_id "
            f"WHERE i.state <> '{_TOLD}' AND (? IS NULL OR i.project_id = ?) GROUP BY ALL ORDER BY ALL",
            [only, only],
        )

    def left(self, project_id: str, purposes: Sequence[str]) -> dict[str, tuple[str, Decimal]]:
        """Requests of jobs that are over whose end nobody knows, by what was asked.

        Returns:
            The idempotency key that each was sent under, and US dollars that it costs at most where it stands on the
            ledger nowhere else (0: it does, or its price is unknown).
        """
        rows = self._db.rows(
            'SELECT i.request, arg_max(i.sent_as, i."at") AS key, '
            f"coalesce(sum(i.worst) FILTER (WHERE i.state = '{_OPEN}'), 0) AS worst FROM intents i {_OVER} "
            f"WHERE i.project_id = ? AND list_contains(?, i.purpose) AND i.state <> '{_AGAIN}' AND i.sent_as <> '' "
            "GROUP BY i.request",
            [project_id, list(purposes)],
        )
        return {row["request"]: (row["key"], row["worst"]) for row in rows}


def take_intents(writer: Transaction, job: Job, events: Iterable[Event]) -> None:
    """Keep what was sent and has no end yet; let go of what has one.

    Most requests come and end between two rounds, and never get here; what stays is what is in flight at that moment.
    """
    opened: dict[str, dict[str, Any]] = {}
    ended: dict[str, Mapping[str, Any]] = {}
    for event in events:
        data = event.data
        if event.type == "sent":
            opened[data["intent"]] = _row(job, event, data["intent"], data["request"], data["key"], 1)
        elif event.type == "batch_prepared":
            requests = data.get("requests", 0)
            opened[data["name"]] = _row(job, event, data["name"], data["name"], "", requests)
        elif event.type == "reply" and data.get("intent"):
            ended[str(data["intent"])] = data
        elif event.type == "batch_collected":
            ended[data["name"]] = data
    if not opened and not ended:
        return
    doubtful = {intent for intent, data in ended.items() if _is_doubtful(data)}
    rows = [
        {**row, "state": _TOLD if intent in doubtful else _OPEN}
        for intent, row in opened.items()
        if intent not in ended or intent in doubtful
    ]
    if rows:
        writer.insert("intents", pa.Table.from_pylist(rows, schema=_SCHEMA), "ON CONFLICT DO NOTHING")
    _close(writer, job, opened, ended, doubtful)


def _close(
    writer: Transaction,
    job: Job,
    opened: Mapping[str, Mapping[str, Any]],
    ended: Mapping[str, Mapping[str, Any]],
    doubtful: set[str],
) -> None:
    """What ended stands on the ledger now; an earlier request under the same key need not be sent again."""
    before = [intent for intent in ended if intent not in opened]
    if not before and not writer.run("SELECT 1 FROM intents WHERE project_id = ? LIMIT 1", [job.project_id]):
        return
    known = writer.run(
        "SELECT id, sent_as FROM intents WHERE job_id = ? AND id IN (SELECT unnest(?::VARCHAR[]))", [job.id, before]
    )
    keys = {**{intent: row["sent_as"] for intent, row in opened.items()}, **dict(known)}
    for sql, ids in (("UPDATE intents SET state = 'told'", doubtful), ("DELETE FROM intents", set(before) - doubtful)):
        if ids:
            writer.run(f"{sql} WHERE job_id = ? AND id IN (SELECT unnest(?::VARCHAR[]))", [job.id, sorted(ids)])
    settled = sorted({keys.get(i, "") for i, data in ended.items() if _is_settled(data)} - {""})
    if settled:
        same = "WHERE project_id = ? AND sent_as IN (SELECT unnest(?::VARCHAR[]))"
        writer.run(f"DELETE FROM intents {same} AND state = '{_TOLD}'", [job.project_id, settled])
        writer.run(f"UPDATE intents SET state = '{_AGAIN}' {same}", [job.project_id, settled])


def _row(job: Job, event: Event, id_: str, request: str, key: str, requests: object) -> dict[str, Any]:
    return {
        "project_id": job.project_id,
        "job_id": job.id,
        "id": id_,
        "at": event.at,
        "teacher": event.data["teacher"],
        "purpose": event.data["purpose"],
        "request": request,
        "sent_as": key,
        "worst": read_dollars(event.data.get("worst")),
        "requests": requests if isinstance(requests, int) and 0 < requests < 2**31 else 1,
    }


def read_dollars(text: object) -> str | None:
    """US dollars as the ledger holds them; None where that is no amount."""
    try:
        amount = Decimal(str(text)) if text is not None else Decimal("NaN")
    except ArithmeticError:
        return None
    return str(amount) if amount.is_finite() and 0 <= amount < MOST_COST else None


def _is_doubtful(data: Mapping[str, Any]) -> bool:
    """Whether an attempt stands on the ledger of which nobody knows whether it was carried out and billed."""
    return bool(data.get("error")) and data.get("cost") is None and data.get("finish_reason") is None


def _is_settled(data: Mapping[str, Any]) -> bool:
    """Whether it was answered, or refused for good: sent once more, it is another request."""
    error = data.get("error")
    if not error or data.get("finish_reason") is not None or data.get("cost") not in (None, "0"):
        return True
    kind = ErrorKind(error) if error in set(ErrorKind) else None
    return kind is not None and not kind.may_pass and not kind.stops_teacher
