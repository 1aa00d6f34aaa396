"""The process that a file is parsed in: what it may take, what it is told, and how its end is told."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.records import apart, read_records
from engine.records.apart import ProcessLimits, limits_of, read_apart, read_lists
from tests.fakes.hostile_files import JSONL, ROWS


@pytest.fixture(autouse=True)
def _from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is one as outside of tests, and no fork."""
    monkeypatch.setattr(apart, "subprocess", subprocess)


@pytest.fixture
def children() -> Callable[[], set[str]]:
    """Processes that a test started and that still run."""

    def all_children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before = all_children()
    return lambda: all_children() - before


def test_a_file_that_takes_longer_than_its_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[[], set[str]]
) -> None:
    path = tmp_path / "slow.json.gz"
    path.write_bytes(gzip.compress(b"[" + b'{"a":0},' * 6_000_000 + b"0]", 1))
    monkeypatch.setattr(apart, "SECONDS", 1)
    monkeypatch.setattr(apart, "SECONDS_A_MIB", 0)
    with pytest.raises(InputError, match=r"slow\.json\.gz took more than 1 s to read"):
        list(read_records(path))
    assert not children()


def test_a_file_that_needs_more_than_its_memory_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[[], set[str]]
) -> None:
    path = tmp_path / "large.jsonl"
    path.write_text(JSONL + json.dumps({"query": "q", "x": [[]] * 1_000_000}) + "\n")
    monkeypatch.setattr(apart, "MEMORY", 48 * 2**20)
    with pytest.raises(InputError, match=r"large\.jsonl needs more than 48 MiB of memory to read"):
        list(read_records(path))
    assert not children()


def test_the_process_knows_no_key_and_ends_when_nobody_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[[], set[str]]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-studio")
    path = tmp_path / "long.jsonl"
    path.write_text("".join(f'{{"query": "{n} {"x" * 500}"}}\n' for n in range(20_000)))
    rows = read_records(path)
    assert next(rows).values["query"].startswith("0 x")
    (child,) = children()
    told = Path(f"/proc/{child}/environ").read_bytes()
    assert b"sk-secret" not in told and b"PYTHONPATH" in told
    limits = Path(f"/proc/{child}/limits").read_text()
    assert all(name in limits for name in ("Max address space", "Max cpu time"))
    assert (
        "unlimited" not in next(line for line in limits.splitlines() if line.startswith("Max address space")).split()[3]
    )
    del rows
    assert not children()


def test_a_process_that_breaks_or_babbles_harms_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ends.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    (tmp_path / "babbles.py").write_text("print('[' * 100_000); print('[1]')")
    (tmp_path / "floods.py").write_text("print('[' + '1,' * 1000 + '1]')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(apart, "MAX_LINE", 1000)
    limits = ProcessLimits(2**29, 5)
    for module, why in (("ends", "ended the process"), ("babbles", "damaged"), ("floods", "damaged")):
        with pytest.raises(InputError, match=f"a.csv .*{why}"):
            list(read_lists(read_apart(module, [], limits, "a.csv"), "a.csv"))
    with pytest.raises(InputError, match=r"a\.csv needs more"):
        list(read_apart("nothing_of_this_name", [], limits, "a.csv"))


def test_limits_grow_with_the_file() -> None:
    assert limits_of(0).seconds == 60 and limits_of(10 * 2**20).seconds == 260
    assert limits_of(2**33).memory == limits_of(0).memory == 512 * 2**20 and limits_of(0).written == 0


def test_rows_come_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(JSONL)
    assert [record.values["query"] for record in read_records(path)] == ROWS
