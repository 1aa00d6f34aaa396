"""The doctor: what this machine has, and what is missing for what. Loads no model and no torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from engine.errors import MissingPart
from engine.packaged import cache_folder, count_processors, packaged_embedder_folder, packaged_student_file
from engine.sandbox import available

_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "sentence-transformers", "duckdb", "gradio")
_KEYS = ("OPENAI_API_KEY", "MISTRAL_API_KEY", "HF_TOKEN")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `ok` False means that `needed_for` doesn't work until it is mended."""

    name: str
    ok: bool
    value: str
    needed_for: str = ""


def check_machine(workspace: Path) -> list[Finding]:
    """Look at packages, device, memory, disk, models and keys (whether a key is set, never what it is)."""
    findings = [Finding("python", True, platform.python_version())]
    findings += [_package(name) for name in _PACKAGES]
    memory = psutil.virtual_memory()
    free = shutil.disk_usage(_existing(workspace)).free
    findings += [
        Finding("processors", True, str(count_processors())),
        Finding(
            "memory", memory.total > 4 * 2**30, f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
        ),
        Finding("disk", free > 2 * 2**30, f"{free / 2**30:.1f} GiB free at the workspace", "models and checkpoints"),
        _device(),
        _shipped("embedder", lambda: packaged_embedder_folder(), "selection without the Hub"),
        _shipped("student", lambda: packaged_student_file(), "the demo; another student can be named"),
        Finding(
            "converted student",
            True,
            "ready" if (cache_folder() / "smollm2-135m-instruct").is_dir() else "made at first use",
        ),
    ]
    usable = ", ".join(available())
    findings += [
        Finding("sandbox", True, usable or "none: tasks of code are refused", "" if usable else "tasks of code")
    ]
    findings += [Finding(name, True, "set" if os.environ.get(name) else "not set") for name in _KEYS]
    return findings


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed", "everything; `make install` installs it")


def _shipped(name: str, look: object, needed_for: str) -> Finding:
    try:
        path = look() if callable(look) else None
    except MissingPart as error:
        return Finding(name, False, str(error), needed_for)
    exists = isinstance(path, Path) and path.exists()
    return Finding(name, exists, "packaged" if exists else "its file is missing", "" if exists else needed_for)


def _device() -> Finding:
    """NVIDIA's own tool tells of GPUs without importing torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("device", True, "cpu (no NVIDIA driver found)")
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        output = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return Finding("device", False, "nvidia-smi failed; run it by hand to see why", "training on the GPU")
    return Finding("device", True, "; ".join(output.splitlines()) or "cpu")
