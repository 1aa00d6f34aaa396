"""The documents say what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import typer
import yaml

from app.__main__ import app

ROOT = Path(__file__).parent.parent


def modules() -> set[str]:
    found = {
        path.relative_to(ROOT).as_posix()
        for name in ("app", "engine", "storage")
        for path in (ROOT / name).rglob("*.py")
    }
    return {name for name in found if not name.endswith("__init__.py")}


def test_architecture_gives_every_module_a_line_and_names_no_other() -> None:
    told = re.findall(r"^- `([\w/]+\.py)`: \S", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(modules())


def test_the_readme_begins_with_the_two_commands_and_make_has_what_the_documents_name() -> None:
    readme = (ROOT / "README.md").read_text()
    block = readme.split("```sh\n", 1)[1].split("```", 1)[0]
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)`", readme + (ROOT / "CONTRIBUTING.md").read_text()))
    assert {"demo", "test", "check"} <= targets and named <= targets


def test_every_command_in_the_readme_exists() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    used = set(re.findall(r"^tacit ([\w-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert used and used <= commands


def test_the_image_is_made_of_what_is_here_and_serves_as_a_space_does() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    words = [line.split() for line in lines]
    copied = [word for line in words if line[:1] == ["COPY"] for word in line[1:-1] if not word.startswith("--")]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert {"app", "engine", "prompts", "storage", "scripts"} <= set(copied)
    assert "USER tacit" in lines and any("--uid 1000 tacit" in line for line in lines)
    assert any("scripts/install.sh" in line for line in lines), "the script that make calls"
    front = yaml.safe_load((ROOT / "README.md").read_text().split("---\n")[1])
    assert front["sdk"] == "docker" and f"EXPOSE {front['app_port']}" in lines
    command = json.loads(next(line for line in lines if line.startswith("CMD ")).removeprefix("CMD "))
    options = {name for p in typer.main.get_command(app).commands[command[0]].params for name in p.opts}  # type: ignore[attr-defined]
    assert {word for word in command if word.startswith("--")} <= options
    assert str(front["app_port"]) in command and "0.0.0.0" in command


def test_health_is_an_exit_code() -> None:
    done = subprocess.run([sys.executable, "scripts/healthy.py", "http://127.0.0.1:9/"], cwd=ROOT, capture_output=True)
    assert done.returncode == 1 and b"no answer" in done.stderr


def test_the_lock_holds_names_and_versions_only() -> None:
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9.-]+==[\w.!+-]+( ; .+)?", line), line
        assert "://" not in line and not line.startswith(("nvidia", "cuda", "triton"))


def test_no_address_of_a_package_index_or_of_a_machine_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    words = re.compile(("/ro" + r"ot/|/wo" + r"rk/|files\.pythonhosted|pypi\.org/simple|download\.pytorch").encode())
    bad = [name for name in listed if (ROOT / name).suffix != ".json" and words.search((ROOT / name).read_bytes())]
    assert bad == []
