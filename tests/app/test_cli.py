"""The command line as a script sees it: exit codes, messages, JSON on standard output and nothing else there."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from app.cli import console
from tests.fakes.forks import tacit


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    rows = [
        {"id": f"q{n}", "question": f"Which is {n}?", "choices": {"A": str(n), "B": "none"}, "answerKey": "A"}
        for n in range(30)
    ]
    path = tmp_path / "queries.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\nnot json\n")
    return path


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    rows = [
        {"query_id": f"q{n}", "teacher": t, "rationale": f"{t} counts to {n}.", "answer": "A" if (n + k) % 3 else "B"}
        for n in range(30)
        for k, t in enumerate(("one", "two", "three"))
    ]
    rows.append({"query_id": "q1", "teacher": "four", "answer": None, "raw": "I would rather not say."})
    rows.append({"query_id": "unknown", "teacher": "one", "answer": "A"})
    path = tmp_path / "outputs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, app.cli.main; heavy = {'torch', 'gradio', 'duckdb', 'pydantic'} & set(sys.modules); print(heavy)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
    words = ["-c", "import typer, typer.rich_utils"], ["-m", "app", "--help"]
    library, whole = (min(processor_time(*one) for _ in range(3)) for one in words)
    assert whole < 2.5 * library, "on top of the library that draws the help; a busy machine slows both"


def processor_time(*words: str) -> float:
    """Seconds that a Python process takes of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert subprocess.run([sys.executable, *words], capture_output=True).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_recordings_from_file_to_selection(workspace: Path, queries: Path, outputs: Path) -> None:
    words = ("import-queries", "rec", str(queries), "--task", "choice", "--heldout", "0.3", "--embedder", "packaged")
    done = tacit(*words, "--json", workspace=workspace)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["added"] == 30 and data["distill"] + data["heldout"] == 30 and data["golds"] == 30
    assert [error["row"] for error in data["errors"]] == [31]
    again = json.loads(tacit(*words, "--json", workspace=workspace).stdout)
    assert again["added"] == 0 and again["present"] == 30
    data = json.loads(tacit("import-outputs", "rec", str(outputs), "--json", workspace=workspace).stdout)
    assert data["unmatched"] == 1 and data["teachers"]["four"] == 1
    asked = tacit("ask", "rec", "Which is 3?\nA) 3\nB) none", "--of", "one", "--of", "two", workspace=workspace)
    assert asked.stdout.count("declines: it does not know this query") == 2, asked.stderr
    refused = tacit("ask", "rec", "Which is 3?", "--of", "nobody", workspace=workspace)
    assert refused.returncode == 2 and "nobody is called 'nobody'; there are " in refused.stderr
    assert data["failures"] == [{"teacher": "four", "error": "unparsable", "n": 1}]
    data = json.loads(tacit("select", "rec", "--preset", "recordings", "--json", workspace=workspace).stdout)
    assert data["samples"] == sum(data["reasons"].values()) and 0 < data["kept"] < data["samples"]
    refused = tacit("label", "rec", workspace=workspace)
    assert refused.returncode == 3 and "import-outputs" in refused.stderr
    by_itself = json.loads(tacit("select", "rec", "--json", workspace=workspace).stdout)
    assert by_itself["preset"] == "recordings" and "All teachers are recordings" in by_itself["notice"]
    assert (by_itself["kept"], by_itself["config"]) == (data["kept"], data["config"])
    assert data["notice"] == "" and 0 <= data["calibration"]["error"] <= 1 and data["calibration"]["n"] > 0
    assert json.loads(tacit("select", "rec", "--preset", "paper", "--json", workspace=workspace).stdout)["kept"] == 0
    shown = tacit("select", "rec", workspace=workspace)
    assert shown.returncode == 0 and "kept" in shown.stdout and "Calibration error" in shown.stdout
    too_few = tacit("calibrate", "rec", workspace=workspace)
    assert too_few.returncode == 3 and "a temperature needs 50" in too_few.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("import-queries", "p", "/nowhere.jsonl"), 2, "there is no file"),
        (("import-queries", "p", "{empty}"), 2, "is empty"),
        (("import-queries", "p", "{file}", "--task", "magic"), 2, "task"),
        (("import-queries", "p", "{file}", "--column", "colour=x"), 2, "ROLE=NAME"),
        (("select", "nobody"), 2, "there is no project 'nobody'; this workspace has: none"),
        (("select", "nobody", "--preset", "best"), 2, "there are paper, recordings, log-prob"),
        (("runs", "show", "abc"), 2, "no run begins with 'abc'"),
        (("export", "nobody", "x.jsonl"), 2, "no project"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_errors_are_one_message_and_a_code(
    words: tuple[str, ...], code: int, message: str, tmp_path: Path, queries: Path
) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    filled = [word.format(empty=empty, file=queries) for word in words]
    place = None if words == ("frobnicate",) else tmp_path / "workspace"
    done = tacit(*filled, workspace=place)
    assert done.returncode == code, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_a_refused_import_leaves_no_empty_project_behind(workspace: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("nope\nnope\n")
    done = tacit("import-queries", "p", str(bad), workspace=workspace)
    assert done.returncode == 2 and "2 rows can't be used; the first: row 1" in done.stderr
    assert "has: none" in tacit("select", "p", workspace=workspace).stderr


def test_a_second_process_is_told_who_holds_the_workspace(workspace: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from app.services import open_services\n"
        "with open_services(Path(sys.argv[1])): print('open', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(workspace)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "open\n"
    try:
        done = tacit("runs", workspace=workspace)
        assert done.returncode == 3
        assert str(holder.pid) in done.stderr and "--workspace" in done.stderr
    finally:
        holder.kill()
        holder.wait()


def test_the_doctor_finds_this_machine_well(workspace: Path) -> None:
    done = tacit("doctor", "--json", workspace=workspace)
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0 and findings["torch"]["ok"] and findings["student"]["value"] == "packaged"
    assert findings["OPENAI_API_KEY"]["value"] in ("set", "not set")


def test_a_long_first_column_leaves_room_for_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Console(width=80, highlight=False)
    monkeypatch.setattr(console, "out", out)
    row = {"way": "the paper's: the teachers' own scores (as set)", "samples": 576, "queries": 297, "right": "0.957"}
    with out.capture() as printed:
        console.print_table("ways", [{**row, "95%": "[0.937, 0.970]"}])
    assert "[0.937, 0.970]" in printed.get() and "0.957" in printed.get()
