from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import storage.cosines
from engine.selection.cosines import VectorCosines
from engine.values import hash_id, hash_list
from storage.db import Database
from storage.samples import SAMPLE_SCHEMA, Samples

EMBEDDER = ("m", "r", 4)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "tacit.duckdb")
    yield made
    made.close()


def add_samples(db: Database, texts: dict[str, str], queries: int = 7) -> None:
    """Samples by id with the hash of their rationale, of so many queries in turn."""
    rows = [
        {
            "project_id": "p",
            "id": sample_id,
            "query_id": f"q{number % queries}",
            "teacher": f"t{number % 3}",
            "rationale": text,
            "label": "1",
            "label_key": "1",
            "factors": [],
            "draw": 0,
            "split": "distill",
            "text_hash": text,
        }
        for number, (sample_id, text) in enumerate(texts.items())
    ]
    with db.write() as writer:
        writer.insert("samples", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))


def vectors_of(hashes: list[str]) -> NDArray[np.float32]:
    """A vector of its own for every text."""
    rng = {name: np.random.default_rng(int(name.encode().hex(), 16) % 2**32) for name in hashes}
    return np.stack([rng[name].standard_normal(4).astype(np.float32) for name in hashes])


def expect(samples: Samples) -> NDArray[np.float32]:
    """All cosines out of all vectors in memory."""
    arrays = samples.arrays("p", ())
    return VectorCosines(samples.vectors("p", EMBEDDER, arrays.ids)).within(arrays.groups)


def find(samples: Samples) -> NDArray[np.float32] | None:
    found = samples.cosines.find("p", EMBEDDER, samples.arrays("p", ()))
    return None if found is None else found.values


def test_cosines_are_those_of_the_vectors_however_they_come(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, texts = Samples(db), {f"s{n:03}": f"text {n % 37}" for n in range(50)}
    add_samples(db, texts)
    hashes = sorted(set(texts.values()))
    samples.add_vectors("m", "r", hashes[:20], vectors_of(hashes[:20]))
    assert find(samples) is None, "some are not"
    samples.add_vectors("m", "r", hashes[20:], vectors_of(hashes[20:]))
    monkeypatch.setattr(storage.cosines, "_ROOM_BYTES", 4 * 4 * 16)
    np.testing.assert_array_equal(find(samples), expect(samples))
    monkeypatch.setattr(storage.cosines.CosineStore, "_reckon", None)
    np.testing.assert_array_equal(find(samples), expect(samples), "kept, so that nothing is reckoned again")


def test_cosines_are_there_once_the_vectors_are_stored(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, texts = Samples(db), {f"s{n:03}": f"text {n}" for n in range(30)}
    add_samples(db, texts)
    monkeypatch.setattr(storage.cosines.CosineStore, "_reckon", None)
    samples.add_vectors("m", "r", list(texts.values()), vectors_of(list(texts.values())))
    np.testing.assert_array_equal(find(samples), expect(samples))


def test_what_is_kept_is_right_after_every_write(db: Database) -> None:
    samples, texts = Samples(db), {f"s{n:03}": f"text {n}" for n in range(30)}
    add_samples(db, texts)
    samples.add_vectors("m", "r", list(texts.values()), vectors_of(list(texts.values())))
    find(samples)
    add_samples(db, {"s000a": "text 900", "s9": "text 901"}, 2)
    assert find(samples) is None
    samples.add_vectors("m", "r", ["text 900", "text 901"], vectors_of(["text 900", "text 901"]))
    np.testing.assert_array_equal(find(samples), expect(samples), "samples came to two queries")
    with db.write() as writer:
        writer.run("UPDATE samples SET text_hash = 'text 900' WHERE id = 's004'")
        writer.run("DELETE FROM samples WHERE id = 's011'")
    np.testing.assert_array_equal(find(samples), expect(samples), "a rationale is another, and one is gone")


def test_a_file_that_is_damaged_or_gone_is_made_again(db: Database) -> None:
    samples, texts = Samples(db), {f"s{n:03}": f"text {n}" for n in range(30)}
    add_samples(db, texts)
    samples.add_vectors("m", "r", list(texts.values()), vectors_of(list(texts.values())))
    (file,) = (db.file.parent / "cosines").iterdir()
    for content in (b"", file.read_bytes()[:200], b"PK\x03\x04 and so on"):
        file.write_bytes(content)
        np.testing.assert_array_equal(find(samples), expect(samples))
    samples.cosines.forget("p")
    assert not file.exists()


def test_a_vector_that_was_there_before_is_the_one_that_counts(db: Database) -> None:
    samples, texts = Samples(db), {f"s{n:03}": f"text {n}" for n in range(14)}
    hashes = list(texts.values())
    samples.add_vectors("m", "r", hashes[:3], vectors_of(hashes[:3]))
    add_samples(db, texts)
    samples.add_vectors("m", "r", hashes, -np.abs(vectors_of(hashes)))
    np.testing.assert_array_equal(find(samples), expect(samples))


@pytest.mark.parametrize("parts", [[], [[]], [["a"]], [["a", 'b"'], [], ["ä", "c"]]])
def test_a_long_list_is_hashed_part_by_part_as_it_is_whole(parts: list[list[str]]) -> None:
    whole = [item for part in parts for item in part]
    assert hash_list(["selected"], parts, [[3]]) == hash_id("selected", whole, [3])
    assert hash_list([], parts) == hash_id(whole)
