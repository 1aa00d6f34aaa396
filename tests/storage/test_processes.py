from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import WorkspaceBusy
from storage.db import Database, _name_command

ROOT = Path(__file__).resolve().parents[2]

HOLD = """
import sys, time
from pathlib import Path
from storage.db import Database
db = Database(Path(sys.argv[1]))
print("open", flush=True)
time.sleep(60)
"""

WRITE = """
import sys
from pathlib import Path
from storage.db import Database
db = Database(Path(sys.argv[1]))
for number in range(100_000):
    with db.write() as writer:
        writer.run("INSERT INTO prompts VALUES (?, 'first half', 'x')", [f"{number}a"])
        writer.run("INSERT INTO prompts VALUES (?, 'second half', 'x')", [f"{number}b"])
    print(number, flush=True)
"""


def start(code: str, file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_is_told_who_holds_the_workspace(tmp_path: Path) -> None:
    file = tmp_path / "tacit.duckdb"
    with start(HOLD, file) as process:
        try:
            assert told(process) == "open"
            with pytest.raises(WorkspaceBusy, match=rf"process {process.pid} \(python[\d.]*\)\."):
                Database(file)
        finally:
            process.kill()
    Database(file).close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("/usr/bin/python3.11 -m app serve --auth ann:secret", "python3.11 -m app serve"),
        ("/usr/bin/python /venv/bin/tacit serve --auth=ann:secret", "python tacit serve"),
        ("/usr/bin/python /venv/bin/tacit --auth=ann:secret", "python tacit"),
        ("python3 -m pytest secret", "python3 -m pytest"),
        ("python3 script.py secret", "python3 script.py"),
        ("python3 -c secret secret", "python3"),
        ("duckdb secret", "duckdb"),
        ("", "a process that can't be named"),
    ],
)
def test_who_holds_it_is_named_without_arguments_that_may_be_a_password(words: str, said: str) -> None:
    assert _name_command(words.split()) == said


@pytest.mark.parametrize("wait_s", [0.0, 0.05, 0.13])
def test_what_was_committed_survives_a_kill_in_the_middle_of_writes(tmp_path: Path, wait_s: float) -> None:
    file = tmp_path / "tacit.duckdb"
    with start(WRITE, file) as process:
        while int(told(process)) < 20:
            pass
        time.sleep(wait_s)
        os.kill(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        committed = [int(line) for line in process.stdout.read().splitlines() if line]
    least = max([20, *committed[:-1]])
    db = Database(file)
    halves = db.rows("SELECT name, count(*) AS n, max(rtrim(hash, 'ab')::INTEGER) AS last FROM prompts GROUP BY name")
    assert len(halves) == 2
    assert halves[0]["n"] == halves[1]["n"] == halves[0]["last"] + 1 == halves[1]["last"] + 1
    assert halves[0]["last"] >= least
    with db.write() as writer:
        writer.run("INSERT INTO prompts VALUES ('after', 'n', 't')")
    db.close()
