"""The engine runs alone: the example trains and scores a student without the studio and without its store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fakes.tiny_student import make_tiny_student

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "headless.py"
TOLD = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules} & {"app", "storage", "duckdb", "gradio"}))
"""


def test_the_example_runs_the_method_with_the_engine_alone(tmp_path: Path) -> None:
    student = make_tiny_student(tmp_path / "student")
    command = [sys.executable, "-W", "ignore", "-c", TOLD, str(EXAMPLE), str(student)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    *lines, loaded = ran.stdout.strip().splitlines()
    assert loaded == "loaded:"
    systems = {line.split()[0] for line in lines if " all kinds " in line}
    assert systems == {"vanilla", "vanilla-fewshot", "stage1", "stage3"}
    assert all(" of 10, " in line for line in lines if " all kinds " in line)


def test_the_example_is_short_and_imports_the_engine_only() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    imported = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert len(lines) <= 40 and imported - set(sys.stdlib_module_names) == {"engine"}
