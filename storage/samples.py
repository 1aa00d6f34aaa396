"""Attempts, samples and embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.values import Sample, Split, hash_id
from storage.cosines import CosineStore, Embedder
from storage.db import Database
from storage.sample_arrays import SampleArrays, numbers, read_arrays

_TEXT_FIELDS = ("project_id", "id", "query_id", "teacher", "rationale", "label", "label_key")
SAMPLE_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT_FIELDS),
        ("factors", pa.map_(pa.string(), pa.float64())),
        ("draw", pa.int32()),
        ("split", pa.string()),
        ("text_hash", pa.string()),
    ]
)
_FEW = 100
_COLUMNS = "id, query_id, teacher, rationale, label, label_key, factors, draw, split"


class Samples:
    """Table family of samples."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.cosines = CosineStore(db)

    def known_ids(self, project_id: str) -> set[str]:
        """Ids of the samples that exist."""
        return {row["id"] for row in self._db.rows("SELECT id FROM samples WHERE project_id = ?", [project_id])}

    def get(self, project_id: str, split: Split) -> list[Sample]:
        """All samples of a split, by id."""
        rows = self._db.rows(
            f"SELECT {_COLUMNS} FROM samples WHERE project_id = ? AND split = ? ORDER BY id", [project_id, split.value]
        )
        return [_sample(row) for row in rows]

    def label_keys(self, project_id: str) -> set[str]:
        """The keys of the labels of the distillation samples."""
        sql = "SELECT DISTINCT label_key FROM samples WHERE project_id = ? AND split = 'distill'"
        return {row["label_key"] for row in self._db.rows(sql, [project_id])}

    def set_keys(self, project_id: str, keys: Mapping[str, str]) -> None:
        """Give samples, by id, other keys of their labels."""
        columns = {"project_id": [project_id] * len(keys), "id": list(keys), "label_key": list(keys.values())}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        with self._db.write() as writer:
            writer.update("samples", table, ("project_id", "id"))

    def rationales(self, project_id: str) -> Iterator[str]:
        """Rationales of the distillation samples, by id, read part by part."""
        sql = "SELECT rationale FROM samples WHERE project_id = ? AND split = 'distill' ORDER BY id"
        return (row for (row,) in self._db.stream(sql, [project_id]))

    def state(self, project_id: str) -> tuple[int, int]:
        """Number and hash of a project's distillation samples: another pair means that something changed."""
        row = self._db.remembered(
            "SELECT count(*) AS n, coalesce(bit_xor(hash(id, label_key, text_hash)), 0)::HUGEINT AS mark FROM samples "
            "WHERE project_id = ? AND split = 'distill'",
            [project_id],
        )[0]
        return int(row["n"]), int(row["mark"])

    def counts(self, project_id: str) -> list[dict[str, Any]]:
        """Per teacher: samples, and failed attempts that no sample followed."""
        return self._db.remembered(
            """
            SELECT teacher, count(*) FILTER (WHERE good) AS samples, count(*) FILTER (WHERE NOT good) AS failures
            FROM (
                SELECT teacher, sample_id, bool_or(error IS NULL) AS good FROM attempts
                WHERE project_id = ? AND purpose = 'label' GROUP BY teacher, sample_id
            ) GROUP BY teacher ORDER BY teacher
            """,
            [project_id],
        )

    def failures(self, project_id: str) -> list[dict[str, Any]]:
        """Replies to queries that gave no sample, by teacher and kind of error; one asked again counts once."""
        return self._db.remembered(
            "SELECT teacher, error, count(DISTINCT sample_id) AS n FROM attempts WHERE project_id = ? "
            "AND error IS NOT NULL AND purpose IN ('label', 'evaluate') GROUP BY ALL ORDER BY ALL",
            [project_id],
        )

    def outcomes(self, project_id: str, job_id: str) -> list[dict[str, Any]]:
        """What a job's replies gave: how many samples for each error and message; null where all is well."""
        return self._db.rows(
            "SELECT error, message, count(DISTINCT sample_id) AS n FROM attempts WHERE project_id = ? AND job_id = ? "
            "GROUP BY ALL ORDER BY n DESC, message",
            [project_id, job_id],
        )

    def last_replies(self, project_id: str, size: int = 8) -> list[dict[str, Any]]:
        """The newest attempts, clipped, newest first."""
        return self._db.remembered(
            "SELECT teacher, error, left(raw, 600) AS raw FROM attempts WHERE project_id = ? "
            "AND purpose IN ('label', 'evaluate') ORDER BY \"at\" DESC NULLS LAST, id LIMIT ?",
            [project_id, size],
        )

    def unread(self, project_id: str) -> list[dict[str, Any]]:
        """Replies that could not be read and that no sample followed: the newest of each sample, with its raw text."""
        return self._db.rows(
            """
            SELECT a.id, a.sample_id, a.query_id, a.teacher, a.raw, a.finish_reason, a.error,
                coalesce(a.draw, 0) AS draw
            FROM attempts a WHERE a.project_id = ? AND a.error IN ('unparsable', 'truncated', 'not_among_choices')
                AND a.purpose IN ('label', 'evaluate') AND a.raw <> ''
                AND NOT EXISTS (SELECT 1 FROM samples s WHERE s.project_id = a.project_id AND s.id = a.sample_id)
            QUALIFY row_number() OVER (PARTITION BY a.sample_id ORDER BY a.id) = 1 ORDER BY a.id
            """,
            [project_id],
        )

    def add_read(self, project_id: str, samples: Mapping[str, Mapping[str, Any]]) -> None:
        """Samples read out of old replies, by the id of the attempt; each attempt is a failed one no more."""
        rows = [
            {
                "project_id": project_id,
                **sample,
                "factors": list(sample["factors"].items()),
                "text_hash": hash_id("text", sample["rationale"]),
            }
            for sample in samples.values()
        ]
        if not rows:
            return
        with self._db.write() as writer:
            writer.insert("samples", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA), "ON CONFLICT DO NOTHING")
            writer.run(
                "UPDATE attempts SET error = NULL, message = 'read again' "
                "WHERE project_id = ? AND list_contains(?, id)",
                [project_id, list(samples)],
            )

    def failed(self, project_id: str, kinds: Sequence[str]) -> list[dict[str, Any]]:
        """(query_id, teacher, draw) of what failed, by some kinds of error or (none given) any, and has no sample."""
        return self._db.rows(
            """
            SELECT DISTINCT a.query_id, a.teacher, coalesce(a.draw, 0) AS draw FROM attempts a WHERE a.project_id = ?
                AND a.error IS NOT NULL AND a.purpose IN ('label', 'evaluate')
                AND (len(?) = 0 OR list_contains(?, error))
                AND NOT EXISTS (SELECT 1 FROM samples s WHERE s.project_id = a.project_id AND s.query_id = a.query_id
                    AND s.teacher = a.teacher AND s.draw = coalesce(a.draw, 0))
            """,
            [project_id, list(kinds), list(kinds)],
        )

    def evaluated(self, project_id: str) -> list[dict[str, Any]]:
        """The teachers' answers to held-out queries, one a teacher and query; one that was read before others.

        Keys: system (the teacher), query_id, text, label (None: not read), latency_s.
        """
        return self._db.rows(
            "SELECT a.teacher AS system, a.query_id, a.raw AS text, s.label, a.latency_s FROM attempts a "
            "LEFT JOIN samples s ON s.project_id = a.project_id AND s.id = a.sample_id "
            "WHERE a.project_id = ? AND a.purpose = 'evaluate' "
            "QUALIFY row_number() OVER (PARTITION BY a.teacher, a.query_id ORDER BY s.label IS NULL, a.id) = 1 "
            "ORDER BY ALL",
            [project_id],
        )

    def replace_recorded(self, project_id: str, teacher: str, current: Mapping[str, str]) -> None:
        """Remove a recorded teacher's samples of an earlier file for queries that its present file may answer.

        `current` maps the sample ids that the present file gives to their queries.
        """
        table = pa.table({"id": pa.array(list(current), pa.string()), "query_id": pa.array(list(current.values()))})
        with self._db.write() as writer:
            writer.delete_others("samples", table, {"project_id": project_id, "teacher": teacher})

    def arrays(self, project_id: str, factors: Sequence[str]) -> SampleArrays:
        """The distillation samples as arrays, ordered by id. Reads no gold label."""
        return read_arrays(self._db, project_id, factors)

    def missing_texts(self, project_id: str, model: str, revision: str, dimension: int) -> dict[str, str]:
        """Rationales (by hash) of distillation samples that this embedder has no vector for."""
        rows = self._db.rows(
            f"""
            SELECT DISTINCT text_hash, rationale FROM samples
            WHERE project_id = ? AND split = 'distill' AND text_hash NOT IN
                (SELECT text_hash FROM embeddings_{int(dimension)} WHERE model = ? AND revision = ?)
            ORDER BY text_hash
            """,
            [project_id, model, revision],
        )
        return {row["text_hash"]: row["rationale"] for row in rows}

    def all_texts(self, project_id: str) -> dict[str, str]:
        """Rationales (by hash) of all distillation samples."""
        rows = self._db.rows(
            "SELECT DISTINCT text_hash, rationale FROM samples WHERE project_id = ? AND split = 'distill' ORDER BY ALL",
            [project_id],
        )
        return {row["text_hash"]: row["rationale"] for row in rows}

    def embedders(self, project_id: str) -> list[Embedder]:
        """(model, revision, dimension) of every embedder that has vectors for this project's samples."""
        embedders = []
        for dimension in self._dimensions():
            all_ = self._db.remembered(f"SELECT DISTINCT model, revision FROM embeddings_{dimension} ORDER BY ALL")
            # Most often a few samples tell; only where they leave some embedder out, all are asked.
            for some in (f"LIMIT {_FEW}", ""):
                rows = self._db.remembered(
                    f"SELECT DISTINCT model, revision FROM embeddings_{dimension} WHERE text_hash IN "
                    f"(SELECT text_hash FROM samples WHERE project_id = ? {some}) ORDER BY ALL",
                    [project_id],
                )
                if len(rows) == len(all_):
                    break
            embedders += [(row["model"], row["revision"], dimension) for row in rows]
        return embedders

    def _dimensions(self) -> list[int]:
        rows = self._db.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'embeddings_%'")
        return sorted(int(row["table_name"].split("_")[1]) for row in rows)

    def vectors(self, project_id: str, embedder: Embedder, ids: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of some distillation samples in the order of their ids, (R, D); NaN rows where one is missing."""
        model, revision, dimension = embedder
        table = self._db.arrow(
            f"SELECT s.id, e.vector FROM samples s JOIN embeddings_{int(dimension)} e ON e.text_hash = s.text_hash "
            "WHERE s.project_id = ? AND s.split = 'distill' AND e.model = ? AND e.revision = ? "
            "AND s.id IN (SELECT unnest(?::VARCHAR[]))",
            [project_id, model, revision, list(ids)],
        )
        vectors = np.full((len(ids), dimension), np.nan, dtype=np.float32)
        place = {sample_id: number for number, sample_id in enumerate(ids)}
        places = [place[sample_id] for sample_id in table["id"].to_pylist()]
        vectors[places] = numbers(table["vector"].combine_chunks().flatten()).reshape(-1, dimension)
        return vectors

    def add_vectors(self, model: str, revision: str, hashes: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Keep vectors by (model, revision, text hash); those already there stay."""
        dimension = int(vectors.shape[1])
        with self._db.write() as writer:
            writer.run(
                f"CREATE TABLE IF NOT EXISTS embeddings_{dimension} (model VARCHAR, revision VARCHAR, "
                f"text_hash VARCHAR, vector FLOAT[{dimension}], PRIMARY KEY (model, revision, text_hash))"
            )
            flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
            table = pa.table(
                {
                    "model": [model] * len(hashes),
                    "revision": [revision] * len(hashes),
                    "text_hash": list(hashes),
                    "vector": pa.FixedSizeListArray.from_arrays(flat, dimension),
                }
            )
            added = writer.insert(f"embeddings_{dimension}", table, "ON CONFLICT DO NOTHING")
        if added == len(hashes):
            self.cosines.take((model, revision, dimension), table["text_hash"], vectors)

    def vectors_of(self, embedder: Embedder, hashes: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Vectors of some texts, by hash, each of shape (D,); those that the embedder has none for are left out."""
        model, revision, dimension = embedder
        rows = self._db.rows(
            f"SELECT text_hash, vector FROM embeddings_{int(dimension)} WHERE model = ? AND revision = ? "
            "AND text_hash IN (SELECT unnest(?::VARCHAR[]))",
            [model, revision, list(hashes)],
        )
        return {row["text_hash"]: np.asarray(row["vector"], dtype=np.float64) for row in rows}

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """What teachers said to a job's requests, by teacher, oldest first.

        Keys: teacher, purpose, raw, output_tokens, latency_s, cost (US dollars; None: unknown), error, message.
        """
        return self._db.rows(
            "SELECT teacher, purpose, raw, output_tokens, latency_s, cost, error, message FROM attempts "
            'WHERE job_id = ? ORDER BY teacher, "at"',
            [job_id],
        )

    def count_scored(self, project_id: str) -> tuple[int, int]:
        """How many distillation samples there are, and how many of them their teacher gave scores of factors."""
        row = self._db.remembered(
            "SELECT count(*) AS samples, count(*) FILTER (WHERE cardinality(factors) > 0) AS scored FROM samples "
            "WHERE project_id = ? AND split = 'distill'",
            [project_id],
        )[0]
        return int(row["samples"]), int(row["scored"])

    def labels(self, project_id: str) -> NDArray[np.object_]:
        """The labels of the distillation samples as their teachers wrote them: shape (N,), by id."""
        sql = "SELECT label FROM samples WHERE project_id = ? AND split = 'distill' ORDER BY id"
        labels: NDArray[np.object_] = self._db.arrays(sql, [project_id])["label"]
        return labels


def _sample(row: dict[str, Any]) -> Sample:
    return Sample(**{**row, "factors": dict(row["factors"]), "split": Split(row["split"])})
