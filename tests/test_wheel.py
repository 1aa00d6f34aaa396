"""The built wheel, installed apart from the checkout, runs."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_installs_and_the_doctor_runs_without_the_checkout(tmp_path: Path) -> None:
    """Our package comes from the wheel; what it depends on is lent from this environment instead of installed anew."""
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    wheel = next(tmp_path.glob("tacit_studio-*.whl"))
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    lent = Path(sysconfig.get_path("purelib"))
    (Path(site) / "lent.pth").write_text(f"{lent}\n")
    run = [python, "-m", "app", "doctor", "--json"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {finding["name"] for finding in json.loads(done.stdout)} >= {"torch", "student", "embedder", "memory"}
    where = [
        python,
        "-c",
        "import app.services, engine.prompts as p; print(p.__file__, p.load_prompt('student', 'answer').name)",
    ]
    told = subprocess.run(where, capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert str(tmp_path) in told and "student/answer.v1" in told
    migrations = Path(site) / "storage" / "migrations"
    assert list(migrations.glob("0001_*.sql"))
