"""What other packages bring by entry points is found by the command, and by the worker that it starts."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.fakes import forks

ROOT = Path(__file__).resolve().parents[2]
CODE = """
from dataclasses import replace

from engine.datasets import DatasetKind
from engine.datasets.label import make
from engine.losses import Loss
from engine.plans import Evaluate, Plan, PlanKind, Train


def _plan(settings):
    train = settings.stages[0].model_copy(update={"loss": "thrice"})
    steps = (Train(name="only", dataset="bare", train=train), Evaluate(name="evaluate-only", start="only"))
    return Plan(name="tiny", student=settings.student, steps=steps)


PLAN = PlanKind("Tiny", "One stage of bare answers.", _plan)
BARE = DatasetKind("bare answers", "[x; y].", make, length=0.1, reasons=False)
THRICE = Loss("three times the likelihood", "Tripled.", lambda model, batch, likelihood: 3 * likelihood())
"""
POINTS = """[tacit.plans]
tiny = tiny_variants:PLAN
[tacit.datasets]
bare = tiny_variants:BARE
[tacit.losses]
thrice = tiny_variants:THRICE
"""


def make_wheel(folder: Path) -> Path:
    """A wheel by its specification: the module, its metadata, and a record of both."""
    info = "tiny_variants-1.0.dist-info"
    files = {
        "tiny_variants.py": CODE,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny-variants\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": POINTS,
    }
    lines = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(text.encode())}")
    path = folder / "tiny_variants-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (files | {f"{info}/RECORD": "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"}).items():
            archive.writestr(name, text)
    return path


def test_a_plan_of_an_installed_package_trains_and_is_scored(
    embedded_workspace: Path, tiny_student: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, str(make_wheel(tmp_path))], check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(site))), "COLUMNS": "300"}

    def tacit(*words: str) -> str:
        done = forks.tacit(*words, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert "tiny" in tacit("train", "--help") and "thrice" in tacit("train", "--help")
    workspace = tmp_path / "workspace"
    tacit("projects", "list", "--workspace", str(workspace))
    rows = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(4)]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    copy = ["projects", "export", "p", str(tmp_path / "p.tacit.zip"), "--workspace", str(embedded_workspace)]
    tacit(*copy)
    tacit("projects", "import", str(tmp_path / "p.tacit.zip"), "--workspace", str(workspace))
    tacit("import-queries", "p", str(tmp_path / "held.jsonl"), "--heldout", "1", "--workspace", str(workspace))
    tacit("select", "p", "--preset", "none", "--workspace", str(workspace))
    order = ["--plan", "tiny", "--preset", "smoke", "--student", str(tiny_student), "--workspace", str(workspace)]
    report = json.loads(tacit("train", "p", *order, "--json"))
    assert report["status"] == "finished" and report["plan"] == "tiny"
    assert [(row["name"], row["n"]) for row in report["rows"] if row["kind"] == ""] == [("only", 4)]
