from __future__ import annotations

import json
import math
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.jobs.events import EventLog, SilentLog, read_events, scan_events
from engine.lines import read_lines, write_atomically, write_lines
from engine.redaction import Redactor
from engine.values import hash_id

QUICK = settings(max_examples=80, deadline=None)
texts = st.text(st.characters(), max_size=30)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job" / "events.jsonl"


def emit(path: Path, *numbers: int) -> None:
    log = EventLog(path)
    for number in numbers:
        log.emit("count", number=number)
    log.close()


def printable(value: Any) -> Any:
    """What is left of a value when halves of characters are replaced."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


@QUICK
@given(st.lists(st.dictionaries(texts.filter(lambda t: t not in ("type_", "self")), values, max_size=3), max_size=4))
def test_events_come_back_as_they_were_emitted(given_: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        log = EventLog(path)
        for data in given_:
            log.emit("some", **data)
        log.close()
        batch = read_events(path)
        assert [event.seq for event in batch.events] == list(range(1, len(given_) + 1))
        assert [dict(event.data) for event in batch.events] == [printable(data) for data in given_]
        assert batch.offset == path.stat().st_size


def test_odd_texts_stay_on_their_line(path: Path) -> None:
    log = EventLog(path)
    log.emit("odd", text="a\nb\r\u2028\u0085\0\ud800é🦓", number=math.inf)
    log.emit("next")
    log.close()
    events = read_events(path).events
    assert [event.type for event in events] == ["odd", "next"]
    assert events[0].data == {"text": "a\nb\r\u2028\u0085\0?é🦓", "number": math.inf}


def test_numbering_goes_on_when_a_journal_is_opened_again(path: Path) -> None:
    emit(path, 1, 2)
    emit(path)
    emit(path, 3)
    assert [(event.seq, event.data["number"]) for event in read_events(path).events] == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("torn", [b"{", b'{"seq": 3, "type": "count", "at": 1, "data": {}}', "é".encode()[:1], b"\0"])
def test_a_torn_last_line_is_cut_off_and_its_number_used_again(path: Path, torn: bytes) -> None:
    emit(path, 1, 2)
    with path.open("ab") as file:
        file.write(torn)
    assert len(read_events(path).events) == 2
    emit(path, 3)
    assert [(event.seq, event.data["number"]) for event in read_events(path).events] == [(1, 1), (2, 2), (3, 3)]
    assert torn + b"\n" not in path.read_bytes()


def test_a_journal_of_nothing_but_a_torn_line_starts_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"seq": 1, "ty')
    emit(path, 7)
    assert [(event.seq, event.data["number"]) for event in read_events(path).events] == [(1, 7)]


def test_reading_goes_on_from_an_offset_and_never_reads_half_a_line(path: Path) -> None:
    emit(path, 1, 2, 3)
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    part = path.with_name("part.jsonl")
    for length in range(len(whole) + 1):
        part.write_bytes(whole[:length])
        batch = read_events(part)
        done = [end for end in ends if end <= length]
        assert (len(batch.events), batch.offset) == (len(done), max(done, default=0))
        rest = read_events(path, batch.offset)
        assert [event.seq for event in batch.events + rest.events] == [1, 2, 3]
    assert read_events(path, len(whole)) == ([], len(whole))


def test_a_journal_not_begun_is_empty(path: Path) -> None:
    assert read_events(path) == ([], 0)
    assert read_events(path, 5) == ([], 5)


def test_an_event_is_on_disk_when_emit_returns(path: Path) -> None:
    log = EventLog(path)
    for number in range(3):
        log.emit("count", number=number)
        assert len(read_events(path).events) == number + 1
    log.close()


def test_threads_share_a_journal(path: Path) -> None:
    log = EventLog(path)
    threads = [threading.Thread(target=lambda: [log.emit("x", pad="é" * 500) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert [event.seq for event in read_events(path).events] == list(range(1, 201))


def test_a_full_disk_leaves_no_torn_line_and_no_gap(path: Path) -> None:
    log = EventLog(path)
    log.emit("fits")
    inner = log._file

    class Full:
        def write(self, line: bytes) -> int:
            inner.write(line[:5])
            raise OSError(28, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    log._file = Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space"):
        log.emit("lost")
    log._file = inner
    log.emit("later")
    log.close()
    assert [(event.seq, event.type) for event in read_events(path).events] == [(1, "fits"), (2, "later")]


def test_the_silent_journal_takes_anything() -> None:
    SilentLog().emit("x", value=object())


def test_files_of_lines_come_back(tmp_path: Path) -> None:
    items = [{"a": "é\n\u2028"}, "text", None, [1]]
    assert read_lines(write_lines(tmp_path / "new" / "lines.jsonl", items)) == items
    assert read_lines(write_lines(tmp_path / "lines.jsonl", ["half \ud800"])) == ["half ?"]


def test_a_file_written_atomically_replaces_the_old_and_leaves_no_part(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    write_atomically(file, {"n": 1})
    with pytest.raises(TypeError):
        write_atomically(file, {"n": object()})
    assert json.loads(file.read_text()) == {"n": 1}
    write_atomically(file, {"n": "é"})
    assert json.loads(file.read_text("utf-8")) == {"n": "é"}
    assert os.listdir(tmp_path) == ["status.json"]


def test_ids_are_stable_and_tell_parts_apart() -> None:
    assert hash_id("query", "é", [1, "2"]) == "03da5ad0422a477f83d9093e"
    assert hash_id("a", "b") != hash_id("ab") != hash_id("a", ["b"])
    assert hash_id({"x": 1, "y": 2}) == hash_id({"y": 2, "x": 1})
    assert len(hash_id("\ud800")) == 24


DAMAGED = {
    "garbage": b"\x93\x11garbage\n",
    "a blank line": b"\n",
    "NULs": b"\0" * 40 + b"\n",
    "a number": b"42\n",
    "half a line": b'{"seq": 2, "type": "co\n',
    "bad UTF-8": b'{"seq": 2, "type": "count", "at": 1, "data": {"number": "\xff\xfe"}}\n',
    "no number": b'{"type": "count", "at": 1, "data": {}}\n',
    "no time": b'{"seq": 2, "type": "count", "data": {}}\n',
    "no data": b'{"seq": 2, "type": "count", "at": 1}\n',
    "a number that is text": b'{"seq": "2", "type": "count", "at": 1, "data": {}}\n',
    "a number beyond all": b'{"seq": %d, "type": "count", "at": 1, "data": {}}\n' % 10**30,
    "a time beyond all": b'{"seq": 2, "type": "count", "at": 1e999, "data": {}}\n',
    "a reply without its usage": b'{"seq": 2, "type": "reply", "at": 1, "data": {"sample_id": "s", "query_id": "q"}}\n',
    "deeply nested": b"[" * 100_000 + b"\n",
    "two lines in one": b'{"seq": 2, "type": "count", {"seq": 2, "type": "count", "at": 1, "data": {}}\n',
}


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_is_left_out_and_counted_wherever_it_stands(path: Path, line: bytes, place: int) -> None:
    emit(path, 1, 2, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[place] = line
    path.write_bytes(b"".join(lines))
    scan = scan_events(path)
    kept = [seq for seq in (1, 2, 3) if seq != place + 1]
    assert [event.seq for event in scan.events] == kept
    assert (scan.damaged, scan.offset) == (1, path.stat().st_size)
    assert read_events(path) == (scan.events, scan.offset)
    emit(path, 4)
    assert [(event.seq, event.data["number"]) for event in read_events(path).events][-1] == (4, 4)


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_line_that_is_still_being_written_is_no_damaged_one(path: Path, line: bytes) -> None:
    emit(path, 1)
    with path.open("ab") as file:
        file.write(line[:-1])
    scan = scan_events(path)
    assert (len(scan.events), scan.damaged) == (1, 0)


@QUICK
@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=5), st.data())
def test_no_bytes_keep_the_good_lines_from_being_read(lines: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        emit(path, 1, 2, 3)
        good = path.read_bytes().splitlines()
        for line in lines:
            good.insert(data.draw(st.integers(0, len(good))), line)
        path.write_bytes(b"\n".join(good) + b"\n")
        scan = scan_events(path)
        assert [event.data["number"] for event in scan.events if event.type == "count"] == [1, 2, 3]
        assert scan.damaged == len(lines)


def test_a_key_is_written_into_no_journal_in_any_dress(path: Path) -> None:
    key = "sk-some/0123456789"
    redactor = Redactor()
    redactor.add(key)
    log = EventLog(path, redactor)
    log.emit("said", raw=f"it is {key}", deep={"list": [key.replace("/", "\\/"), 3]}, coded=key.encode().hex())
    log.emit("count", number=1)
    log.close()
    first, second = (event.data for event in read_events(path).events)
    assert first == {"raw": "it is [key]", "deep": {"list": ["[key]", 3]}, "coded": "[key]"}
    assert second == {"number": 1}
