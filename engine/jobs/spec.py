"""What a job is, and what a worker finds in its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from engine.config import Config, StudentConfig, TrainConfig
from engine.types import Purpose

SPEC_FILE = "spec.json"
STATUS_FILE = "status.json"
LOG_FILE = "log.txt"
STOP_FILE = "stop"
"""In a Ray job's folder: journal what there is, ask nothing more."""


class WorkerStep(Config):
    """One thing a worker does. Paths are absolute.

    train: fit `file` (rows) from adapter `start` into `folder`. write: answer the prompts in `file`, one system each.
    count: measure the texts in `file` in the student's tokens.
    """

    kind: Literal["train", "write", "count"]
    name: str
    file: str
    start: str | None = None
    folder: str | None = None
    train: TrainConfig | None = None
    max_new_tokens: int = 256


class StudentJob(Config):
    """Steps on one student, done in order by one worker."""

    student: StudentConfig
    steps: tuple[WorkerStep, ...]


class ForecastStep(Config):
    """A train step whose rows are measured: `file` as of a `WorkerStep` of kind train."""

    name: str
    file: str
    train: TrainConfig


class ForecastJob(Config):
    """How long and how large a training would be: measured by a few updates and words on the device itself.

    `asks`: a file of prompts as of a `WorkerStep` of kind write.
    """

    student: StudentConfig
    steps: tuple[ForecastStep, ...]
    asks: str


class MergeJob(Config):
    """An adapter to be merged into its base model, in the folder `output`; `notes` are texts by file name beside it."""

    student: StudentConfig
    adapter: str
    output: str
    notes: dict[str, str] = Field(default_factory=dict)


class LocalLabelJob(Config):
    """Requests to a model on this machine: `file` holds one JSON object a line, as `engine.jobs.local_label` writes."""

    model: str
    task: str
    teacher: str
    purpose: Purpose
    file: str
    max_tokens: int
    temperature: float
    top_p: float
    batch: int


class RayLabelJob(Config):
    """Requests to a hosted teacher by Ray. `file` as of `LocalLabelJob`; `teacher` names a key's variable, no key."""

    teacher: dict[str, Any]
    capabilities: dict[str, Any]
    task: str
    prompt: str = ""
    prompt_version: int = 1
    purpose: Purpose
    file: str
    nonce: str
    workers: int = Field(2, ge=1)
    block: int = Field(64, ge=1)


class EmbedJob(Config):
    """Texts to embed: `file` holds one JSON string a line; vectors go to `output` (.npy) in that order."""

    embedder: str
    file: str
    output: str


def write_atomically(path: Path, data: Any) -> None:
    """Write JSON so that a reader sees the whole of it or the old file."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    part.replace(path)


def write_lines(path: Path, items: Iterable[Any]) -> str:
    """Write one JSON value a line; returns the path as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", errors="replace") as file:
        for item in items:
            file.write(json.dumps(item, ensure_ascii=False) + "\n")
    part.replace(path)
    return str(path)


def read_lines(path: str) -> list[Any]:
    """The inverse of `write_lines`."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
