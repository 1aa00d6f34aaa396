"""Recordings on disk: what is written is read, one at a time, and nothing stays of a write that broke off."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.teachers.recorded import Recording, RecordingFile, RecordingWriter

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
RECORDINGS = st.builds(Recording, TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.dictionaries(TEXTS, st.floats(0, 1)))


@given(st.dictionaries(st.tuples(st.sampled_from(["ann", "bob"]), TEXTS), RECORDINGS, max_size=20))
def test_what_is_written_is_read(said: dict[tuple[str, str], Recording]) -> None:
    with tempfile.TemporaryDirectory() as name:
        with RecordingWriter(Path(name)) as writer:
            for (teacher, query_id), recording in said.items():
                writer.keep(teacher, query_id, recording)
            source = writer.commit()
        for teacher in ("ann", "bob"):
            found = RecordingFile(Path(name) / f"{source}.jsonl", teacher)
            assert dict(found) == {query_id: r for (own, query_id), r in said.items() if own == teacher}


def test_another_content_is_another_source_and_nothing_else_stays(tmp_path: Path) -> None:
    sources = []
    for answer in ("a", "b", "a"):
        with RecordingWriter(tmp_path) as writer:
            writer.keep("ann", "q", Recording("r", answer))
            sources.append(writer.commit())
    assert sources[0] == sources[2] != sources[1]
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(set(sources))


def test_a_write_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RecordingWriter(tmp_path) as writer:
        writer.keep("ann", "q", Recording("r", "a"))
        raise KeyError
    assert list(tmp_path.iterdir()) == []
