"""Jobs and their journals. Taking events in is one transaction: events, what they mean, and how far it went."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import NotFound
from engine.values import MOST_TOKENS, Event, Job, JobStatus, Purpose, RationaleOrigin, hash_id
from engine.values.report import ScoredRun
from storage.db import Database, Transaction
from storage.evidence import put_evidence
from storage.intents import read_dollars, take_intents
from storage.projects import now
from storage.reports import put_report
from storage.runs import put_scores
from storage.samples import SAMPLE_SCHEMA, Samples
from storage.second_draws import put_second_draws

_JOB = 'id, project_id, run_id, kind, status, spec, folder, "offset", backend, handle, cancel_at, message'
_COLUMNS = {"status", "offset", "handle", "cancel_at", "message", "spec"}
_SAMPLING = (Purpose.LABEL.value, Purpose.EVALUATE.value)


class Jobs:
    """Table family of jobs; a `JobStore` for the supervisor."""

    def __init__(self, db: Database, samples: Samples) -> None:
        self._db = db
        self._samples = samples

    def add(self, job: Job) -> Job:
        """Queue a job."""
        with self._db.write() as writer:
            writer.run(
                'INSERT INTO jobs (id, project_id, run_id, kind, status, spec, folder, "offset", backend, message, '
                "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, '', ?)",
                [
                    *(job.id, job.project_id, job.run_id, job.kind, job.status, json.dumps(job.spec), job.folder),
                    *(job.backend, now()),
                ],
            )
        return job

    def get_job(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFound: if there is none.
        """
        row = self._db.row(f"SELECT {_JOB} FROM jobs WHERE id = ?", [job_id])
        if row is None:
            raise NotFound(f"there is no job {job_id}")
        return _job(row)

    def unfinished_jobs(self) -> list[Job]:
        """Queued and running jobs, oldest first."""
        return [
            _job(row)
            for row in self._db.remembered(
                f"SELECT {_JOB} FROM jobs WHERE status IN ('queued', 'running') ORDER BY number"
            )
        ]

    def jobs_of(self, project_id: str) -> list[Job]:
        """All jobs of a project, newest first."""
        rows = self._db.remembered(f"SELECT {_JOB} FROM jobs WHERE project_id = ? ORDER BY number DESC", [project_id])
        return [_job(row) for row in rows]

    def ids_from(self, beginning: str) -> list[str]:
        """Ids that begin so, two at most: enough to tell whether one job is meant."""
        rows = self._db.rows("SELECT id FROM jobs WHERE starts_with(id, ?) LIMIT 2", [beginning])
        return [row["id"] for row in rows]

    def update_job(self, job_id: str, **changes: Any) -> None:
        """Change columns of a job."""
        unknown = set(changes) - _COLUMNS
        if unknown:
            raise ValueError(f"a job has no columns {sorted(unknown)}")
        names = ", ".join(f'"{column}" = ?' for column in changes)
        with self._db.write() as writer:
            writer.run(f"UPDATE jobs SET {names} WHERE id = ?", [*changes.values(), job_id])

    def events(self, job_id: str, after: int = 0, kinds: tuple[str, ...] = ()) -> list[Event]:
        """Events behind a number, of some types or all."""
        rows = self._db.rows(
            'SELECT seq, type, "at", data FROM events WHERE job_id = ? AND seq > ? '
            "AND (len(?) = 0 OR list_contains(?, type)) ORDER BY seq",
            [job_id, after, list(kinds), list(kinds)],
        )
        return [Event(row["seq"], row["type"], row["at"], json.loads(row["data"])) for row in rows]

    def last_events(self, job_id: str, kinds: tuple[str, ...]) -> list[Event]:
        """The newest event of each type, in their order."""
        rows = self._db.rows(
            'SELECT seq, type, "at", data FROM events WHERE job_id = ? AND list_contains(?, type) '
            "QUALIFY row_number() OVER (PARTITION BY type ORDER BY seq DESC) = 1 ORDER BY seq",
            [job_id, list(kinds)],
        )
        return [Event(row["seq"], row["type"], row["at"], json.loads(row["data"])) for row in rows]

    def count_replies(self, job_id: str, after: int) -> int:
        """How many samples a job has asked for behind an event, each counted once however often it was tried."""
        row = self._db.row(
            "SELECT count(DISTINCT data->>'sample_id') AS n FROM events "
            "WHERE job_id = ? AND seq > ? AND type = 'reply'",
            [job_id, after],
        )
        return int(row["n"]) if row else 0

    def find_waits(self, job_id: str, now: float) -> dict[str, tuple[float, bool]]:
        """By teacher the newest wait that its provider asked for, where it is not over: when it ends, in Unix time as
        `now` is, and whether the provider asked for longer."""
        rows = self._db.rows(
            """SELECT data->>'teacher' AS teacher, arg_max("at" + CAST(data->>'seconds' AS DOUBLE), seq) AS ends,
            arg_max(coalesce(CAST(data->>'longer' AS BOOLEAN), FALSE), seq) AS longer
            FROM events WHERE job_id = ? AND type = 'waits' GROUP BY teacher HAVING ends > ? ORDER BY teacher""",
            [job_id, now],
        )
        return {row["teacher"]: (row["ends"], row["longer"]) for row in rows}

    def count_events(self, job_id: str, kind: str) -> int:
        """How many events of a type a job has journaled."""
        row = self._db.row("SELECT count(*) AS n FROM events WHERE job_id = ? AND type = ?", [job_id, kind])
        return int(row["n"]) if row else 0

    def ingest(self, job: Job, events: Iterable[Event], offset: int) -> None:
        """Take events in, each (job, seq) once, with all they mean, in one transaction.

        Raises:
            StoreError: if the store can't be written to; any other error: if an event is not what it says.
        """
        once: dict[int, Event] = {}
        for event in events:
            once.setdefault(event.seq, event)
        events = list(once.values())
        vectors = [event for event in events if event.type == "embedded"]
        for event in vectors:
            data = event.data
            self._samples.add_vectors(
                data["model"], data["revision"], data["hashes"], _load_vectors(job.path / data["file"])
            )
        with self._db.write() as writer:
            first = min((event.seq for event in events), default=0)
            seen = {
                row[0] for row in writer.run("SELECT seq FROM events WHERE job_id = ? AND seq >= ?", [job.id, first])
            }
            fresh = [event for event in events if event.seq not in seen]
            take_intents(writer, job, events)
            _insert(
                writer,
                "events",
                [
                    {"job_id": job.id, "seq": e.seq, "type": e.type, "at": e.at, "data": json.dumps(_brief(e))}
                    for e in fresh
                    if e.type != "sent"
                ],
            )
            _take_replies(writer, job, [event for event in fresh if event.type == "reply"])
            _take_capabilities(writer, [event for event in fresh if event.type == "capabilities"])
            if job.run_id is not None:
                _take_results(writer, job, job.run_id, fresh)
                for event in fresh:
                    if event.type == "scored":
                        _take_scores(writer, job.run_id, _load_scores(job.path / event.data["file"]))
            writer.run('UPDATE jobs SET "offset" = ? WHERE id = ?', [offset, job.id])


def _brief(event: Event) -> Mapping[str, Any]:
    """An event without what has a table of its own."""
    heavy = {
        "reply": ("raw", "sample", "intent"),
        "answer": ("text",),
        "second_draw": ("text",),
        "compressed": ("rationale",),
        "embedded": ("hashes",),
    }
    return {name: value for name, value in event.data.items() if name not in heavy.get(event.type, ())}


def _insert(
    writer: Transaction, table: str, rows: list[dict[str, Any]], on_conflict: str = "ON CONFLICT DO NOTHING"
) -> None:
    if rows:
        writer.insert(table, pa.Table.from_pylist(rows), on_conflict)


def _take_replies(writer: Transaction, job: Job, events: list[Event]) -> None:
    attempts = [
        {
            "project_id": job.project_id,
            "id": hash_id("attempt", job.id, event.seq),
            "job_id": job.id,
            "at": event.at,
            **{name: event.data.get(name) for name in _ATTEMPT_FIELDS},
            "latency_s": _bounded(event.data.get("latency_s"), _LONGEST_S),
            "cost": read_dollars(event.data.get("cost")),
            **{name: _bounded(event.data["usage"].get(name), MOST_TOKENS) for name in _COUNTS},
        }
        for event in events
    ]
    samples = [
        {
            "project_id": job.project_id,
            "id": event.data["sample_id"],
            "query_id": event.data["query_id"],
            "teacher": event.data["teacher"],
            **event.data["sample"],
            "factors": list(event.data["sample"]["factors"].items()),
            "text_hash": hash_id("text", event.data["sample"]["rationale"]),
        }
        for event in events
        if event.data.get("sample") and event.data["purpose"] in _SAMPLING
    ]
    _insert(writer, "attempts", attempts)
    telling = [event.data["sample_id"] for event in events if event.data.get("evidence")]
    there = "SELECT id FROM samples WHERE project_id = ? AND id IN (SELECT unnest(?::VARCHAR[]))"
    known = {row[0] for row in writer.run(there, [job.project_id, telling])} if telling else set()
    put_evidence(writer, job.project_id, events, known)
    if samples:
        table = pa.Table.from_pylist(samples, schema=SAMPLE_SCHEMA)
        writer.insert("samples", table, "ON CONFLICT DO NOTHING")


def _load_vectors(file: Path) -> NDArray[np.float32]:
    try:
        vectors: NDArray[np.float32] = np.load(file)
    except OSError as error:
        raise ValueError("the file of an embedding job is gone or can't be read") from error
    return vectors


def _load_scores(file: Path) -> ScoredRun:
    try:
        return ScoredRun.from_dict(json.loads(file.read_text("utf-8")))
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise ValueError("the file of a scoring job is gone or can't be read") from error


def _bounded(number: object, most: int) -> float | None:
    """A number from 0 to a bound as it is; None for anything else, which no column could hold."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    return number if 0 <= number <= most else None


def _take_capabilities(writer: Transaction, events: list[Event]) -> None:
    for event in events:
        key = [event.data[name] for name in ("provider", "endpoint", "model")]
        capabilities = json.dumps(event.data["found"])
        writer.run("INSERT OR REPLACE INTO capabilities VALUES (?, ?, ?, ?, ?)", [*key, capabilities, event.at])


def _take_results(writer: Transaction, job: Job, run_id: str, events: list[Event]) -> None:
    metrics = {
        (event.data["step"], event.data["update"], name): value
        for event in events
        if event.type == "metric"
        for name, value in event.data["values"].items()
    }
    _insert(
        writer,
        "metrics",
        [
            {"run_id": run_id, "step": s, "update_no": u, "name": n, "value": float(v)}
            for (s, u, n), v in metrics.items()
        ],
        "ON CONFLICT DO UPDATE SET value = EXCLUDED.value",
    )
    answers = [
        {"run_id": run_id, "label": None, "latency_s": None, "log_prob": None, "label_tokens": None, **event.data}
        for event in events
        if event.type == "answer"
    ]
    if answers:
        writer.insert("answers", pa.Table.from_pylist(answers, schema=_ANSWER_SCHEMA), "ON CONFLICT DO NOTHING")
    put_second_draws(writer, run_id, [event.data for event in events if event.type == "second_draw"])
    for event in events:
        if event.type == "threads" and 0 < event.data["threads"] < _MOST_THREADS:
            first = "UPDATE runs SET threads = ? WHERE id = ? AND threads IS NULL"
            writer.run(first, [event.data["threads"], run_id])
    _take_rationales(writer, job, run_id, [event for event in events if event.type == "compressed"])
    for event in events:
        if event.type in ("step_started", "step_finished"):
            status = JobStatus.RUNNING if event.type == "step_started" else JobStatus.FINISHED
            writer.run(
                "UPDATE steps SET status = ?, job_id = ?, result = ? WHERE run_id = ? AND name = ?",
                [status.value, job.id, json.dumps(event.data.get("result", {})), run_id, event.data["step"]],
            )


def _take_scores(writer: Transaction, run_id: str, scored: ScoredRun) -> None:
    """Verdicts and report in place of earlier ones."""
    writer.run("UPDATE answers SET correct = NULL WHERE run_id = ? AND correct IS NOT NULL", [run_id])
    for step, items in scored.items.items():
        put_scores(writer, run_id, step, items)
    put_report(writer, run_id, scored.rows, scored.differences)


def _take_rationales(writer: Transaction, job: Job, run_id: str, events: list[Event]) -> None:
    """Each becomes the next version of its sample's rationale; of a step each sample is compressed but once.

    The step is the one that the job is of; a job that was queued by an older program does not say it.
    """
    if not events:
        return
    last = "SELECT max_by(name, position) FROM steps WHERE run_id = ? AND kind = 'compress'"
    step = job.spec.get("step") or writer.run(last, [run_id])[0][0] or ""
    stored = writer.run(
        "SELECT sample_id, max(version), bool_or(NOT outdated) FROM rationales WHERE run_id = ? AND step = ? "
        "AND sample_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY sample_id",
        [run_id, step, [event.data["sample_id"] for event in events]],
    )
    versions = {sample: version for sample, version, _ in stored}
    done = {sample for sample, _, there in stored if there}
    rows = []
    for event in events:
        again = bool(event.data.get("note"))
        if event.data["sample_id"] in done and not again:
            continue
        done.add(event.data["sample_id"])
        version = versions.get(event.data["sample_id"], 0) + 1
        versions[event.data["sample_id"]] = version
        rows.append(
            {
                "project_id": job.project_id,
                "run_id": run_id,
                "step": step,
                "sample_id": event.data["sample_id"],
                "origin": RationaleOrigin.COMPRESSED.value,
                "version": version,
                "text": event.data["rationale"],
                "flags": json.dumps(event.data["flags"]),
                "created_at": now(),
                "note": event.data.get("note"),
                "outdated": False,
            }
        )
    _insert(writer, "rationales", rows)


def _job(row: Mapping[str, Any]) -> Job:
    return Job(**{**row, "status": JobStatus(row["status"]), "spec": json.loads(row["spec"])})


_ATTEMPT_FIELDS = (
    *("sample_id", "query_id", "teacher", "purpose", "prompt_hash", "draw", "error", "message", "raw"),
    "finish_reason",
)
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")
_LONGEST_S = 10**9
_MOST_THREADS = 2**20
_ANSWER_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("run_id", "step", "system", "query_id", "text", "label")),
        ("tokens", pa.int64()),
        ("finished", pa.bool_()),
        ("latency_s", pa.float64()),
        ("log_prob", pa.float64()),
        ("label_tokens", pa.int32()),
    ]
)
