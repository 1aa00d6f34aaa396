"""A disk that is full while a studio labels, and one that can't be written: a clear word, and nothing lost.

The disks are made by bubblewrap (`apt-get install bubblewrap`), as any user.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LABEL = '"$PYTHON" -m tests.fakes.slow_label "$WS" 60 0.0'
TACIT = '"$PYTHON" -m app'
FULL = f"""
set -u
{LABEL} | tail -1
head -c 100000000 /dev/zero > "$WS/filler" 2>/dev/null
for i in 1 2 3 4 5; do {TACIT} label kill --scripted --heldout --workspace "$WS" > /dev/null; echo "rc $?"; done
{TACIT} import-queries other "$QUERIES" --workspace "$WS"; echo "rc $?"
rm "$WS/filler"
{TACIT} label kill --scripted --heldout --workspace "$WS" --json | tail -1
{TACIT} import-queries other "$QUERIES" --workspace "$WS" > /dev/null; echo "rc $?"
{TACIT} projects list --workspace "$WS" --json
"""
READ_ONLY = f"""
{TACIT} projects list --workspace "$WS"; echo "rc $?"
{TACIT} serve --port 0 --workspace "$WS"; echo "rc $?"
"""


def run(script: str, workspace: Path, *disk: str) -> subprocess.CompletedProcess[str]:
    """Run a script where the workspace lies on a disk of its own."""
    command = ["bwrap", "--dev-bind", "/", "/", *disk, "--setenv", "WS", str(workspace)]
    command += ["--setenv", "PYTHON", sys.executable, "--setenv", "QUERIES", str(workspace.parent / "queries.jsonl")]
    root = Path(__file__).parents[2]
    return subprocess.run([*command, "sh", "-c", script], cwd=root, capture_output=True, text=True, timeout=600)


@pytest.mark.kill
def test_a_full_disk_is_told_and_what_was_stored_stays(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    workspace = tmp_path / "small"
    workspace.mkdir()
    (tmp_path / "queries.jsonl").write_text("".join(f'{{"query": "What is {i} plus {i}?"}}\n' for i in range(2000)))
    done = run(FULL, workspace, "--size", "40000000", "--tmpfs", str(workspace))
    assert done.stdout.startswith("done\n"), done.stdout + done.stderr
    full, after = done.stderr.split("Free some space"), done.stdout
    assert len(full) >= 5 and "disk" in full[0] and "is full" in full[0]
    assert "Traceback" not in done.stderr
    assert after.count("rc 0") >= 1 and after.rstrip().endswith("]")
    assert '"samples": 173' in after and '"queries": 2000' in after
    record_property("kills", "a full disk (tmpfs of 40 MB): told six times, goes on when there is room, nothing lost")


@pytest.mark.kill
def test_a_disk_that_cant_be_written_is_told(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    workspace = tmp_path / "fixed"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.fakes.slow_label", str(workspace), "20", "0.0"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    done = run(READ_ONLY, workspace, "--ro-bind", str(workspace), str(workspace))
    assert done.stdout.split() == ["rc", "3", "rc", "3"]
    assert done.stderr.count("may this user write to it?") == 2 and "Traceback" not in done.stderr
    record_property("kills", "a read-only workspace: told by a command and by serve, without a traceback")
