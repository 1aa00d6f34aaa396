"""What a job is, and what a worker finds in its folder: its bundle.

Paths in a bundle are relative to the job's folder, so that a bundle means the same wherever it is put together with the
folders that it names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainSerializer, SerializationInfo, ValidationInfo, model_validator

from engine.config import Config, StudentConfig, TrainConfig, read_config
from engine.errors import ConfigError, TacitError
from engine.lines import write_atomically
from engine.places import ModelName, check_names
from engine.second_draws import HOTTEST
from engine.values import Purpose

SPEC_FILE = "spec.json"
STATUS_FILE = "status.json"
LOG_FILE = "log.txt"
KEEPS_LOG_PROBS = "log_probs"
"""In the result of a step that wrote answers: each has the log-prob of its label, where it states one."""
ALONE = "alone"
"""Whether an answer that was written beside others is what its prompt alone leads to; in the result of a step of how
many it is, `same`, out of those that were looked at, `of`."""
HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Variables that may hold the token of the Hugging Face Hub."""
STOP_FILE = "stop"
"""In a Ray job's folder: journal what there is, ask nothing more."""
GO_ON_FILE = "go-on"
"""There too: each time that it is written anew, whoever waits for a provider asks at once."""


def _find_in(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return Path(os.path.normpath(folder / path)) if folder else path


def _tell_from(path: Path, info: SerializationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return Path(os.path.relpath(path, folder)).as_posix() if folder else str(path)


BundlePath = Annotated[Path, AfterValidator(_find_in), PlainSerializer(_tell_from)]
"""A path that is written relative to the job's folder, and whole in memory."""


class Payload(Config):
    """What one kind of job is about.

    Attributes:
        kind: the name of the kind.
        work: the module whose `run(payload, JobContext)` does it; False says that it was stopped before the end.
        needs_device: whether a device is taken, so that such jobs wait for each other.
        takes_all_devices: whether it is spread over all devices there are.
        reads_hub: whether it may read models from the Hub, of which some are for holders of a token only.
        threads: how many torch had in the first worker of its run (None: this is the first, or it is of no run).
    """

    kind: ClassVar[str]
    work: ClassVar[str]
    needs_device: ClassVar[bool] = True
    takes_all_devices: ClassVar[bool] = False
    reads_hub: ClassVar[bool] = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The variables of the keys that its worker needs; no other worker is given them."""
        return HUB_TOKENS if self.reads_hub else ()

    threads: int | None = Field(None, ge=1)


class WorkerStep(Config):
    """One thing a worker does.

    train: fit `file` (rows) from adapter `start` into `folder`. write: answer the prompts in `file`, one system each;
    each up to the text `until`, if there is one. count: measure the texts in `file` in the student's tokens.
    """

    kind: Literal["train", "write", "count"]
    name: str
    file: BundlePath
    start: BundlePath | None = None
    folder: BundlePath | None = None
    train: TrainConfig | None = None
    max_new_tokens: int = 256
    until: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, data: Any) -> Any:
        """Once it was said of an answer whether it is one line."""
        if not isinstance(data, dict) or "one_line" not in data:
            return data
        rest = {name: value for name, value in data.items() if name != "one_line"}
        return {**rest, "until": "\n" if data["one_line"] else ""}


class StudentJob(Payload):
    """Steps on one student, done in order by one worker."""

    kind: ClassVar[str] = "student"
    work: ClassVar[str] = "engine.jobs.student"
    takes_all_devices: ClassVar[bool] = True

    student: StudentConfig
    steps: tuple[WorkerStep, ...]


class ForecastStep(Config):
    """A train step whose rows are measured: `file` as of a `WorkerStep` of kind train."""

    name: str
    file: BundlePath
    train: TrainConfig


class ForecastJob(Payload):
    """How long and how large a training would be: measured by a few updates and words on the device itself.

    `asks`: a file of prompts as of a `WorkerStep` of kind write.
    """

    kind: ClassVar[str] = "forecast"
    work: ClassVar[str] = "engine.jobs.forecast"

    student: StudentConfig
    steps: tuple[ForecastStep, ...]
    asks: BundlePath


class DrawStep(Config):
    """The student of one evaluation, asked a second time.

    `file`: one JSON object a line, as `engine.second_draws.as_line` makes. `start`, `max_new_tokens` and `until`
    as of the `WorkerStep` that wrote the greedy answers.
    """

    name: str
    system: str
    file: BundlePath
    start: BundlePath
    max_new_tokens: int
    until: str = ""


class SecondDrawsJob(Payload):
    """Second draws of students' answers to held-out queries, and whether they state the labels of the greedy ones."""

    kind: ClassVar[str] = "second-draws"
    work: ClassVar[str] = "engine.jobs.second_draws"

    task: str
    student: StudentConfig
    temperature: float = Field(gt=0, le=HOTTEST)
    steps: tuple[DrawStep, ...]


class AskedSo(Config):
    """How a student is asked, as `engine.exports.PromptFrame`."""

    system: str = ""
    before: str = ""
    behind: str = ""
    max_tokens: int = 256
    until: str = ""


class AnswerCheck(Config):
    """Held-out queries that an export answers again.

    `file`: one JSON object a line, as `engine.evaluation.readback.as_line` makes, with the `prompt`; the comparison
    goes to `output`. `of`: how many queries the scored student answered; `measure` as of `ScoreJob`; `scored_by` as of
    `engine.evaluation.readback.ReadBack`.
    """

    task: str
    file: BundlePath
    output: BundlePath
    of: int
    measure: str
    max_tokens: int
    until: str = ""
    scored_by: str = ""


class ExportJob(Payload):
    """A student to be taken out by an exporter, to `output`; `base` as of `engine.exports.Outgoing`.

    With a `check` it is read back and compared with the scored student. What goes beside it (the card) tells of that
    check too, so it is written when the student leaves, not by the worker.
    """

    kind: ClassVar[str] = "export"
    work: ClassVar[str] = "engine.jobs.export"

    exporter: str
    student: StudentConfig
    adapter: BundlePath
    output: BundlePath
    base: ModelName = ""
    asking: AskedSo = AskedSo()
    check: AnswerCheck | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, data: Any) -> Any:
        """Once the card was given along."""
        return {name: value for name, value in data.items() if name != "notes"} if isinstance(data, dict) else data


class LocalLabelJob(Payload):
    """Requests to a model on this machine: `file` holds what `labelling.online.list_requests` makes, one a line."""

    kind: ClassVar[str] = "local"
    work: ClassVar[str] = "engine.jobs.local_label"

    model: ModelName
    task: str
    teacher: str
    purpose: Purpose
    file: BundlePath
    max_tokens: int
    temperature: float
    top_p: float
    batch: int


class RayLabelJob(Payload):
    """Requests to a hosted teacher by Ray. `file` as of `LocalLabelJob`; `teacher` names a key's variable, no key."""

    kind: ClassVar[str] = "ray"
    work: ClassVar[str] = "engine.jobs.ray_label"
    reads_hub: ClassVar[bool] = False

    teacher: dict[str, Any]
    capabilities: dict[str, Any]
    task: str
    prompt: str = ""
    prompt_version: int = 1
    purpose: Purpose
    file: BundlePath
    nonce: str
    workers: int = Field(2, ge=1)
    block: int = Field(64, ge=1)

    @property
    def keys(self) -> tuple[str, ...]:
        """Its teacher's."""
        return tuple(filter(None, [self.teacher.get("key_variable")]))


class EmbedJob(Payload):
    """Texts to embed: `file` holds one JSON string a line; vectors go to `output` (.npy) in that order."""

    kind: ClassVar[str] = "embed"
    work: ClassVar[str] = "engine.jobs.embed"

    embedder: ModelName
    file: BundlePath
    output: BundlePath


class NearDuplicatesJob(Payload):
    """Texts to compare: `file` as of `EmbedJob`; the pairs whose cosine similarity reaches `threshold` go to `output`.

    `output` holds one [i, j, similarity] a line, i < j being places in the file.
    """

    kind: ClassVar[str] = "near-duplicates"
    work: ClassVar[str] = "engine.jobs.embed"

    embedder: ModelName
    file: BundlePath
    output: BundlePath
    threshold: float


class RewriteJob(Payload):
    """Rationales to be rewritten by a compressor that runs in a worker.

    `file` holds one JSON object a line, as `engine.jobs.rewrite.as_line` makes; `model` is the compressor's own.
    """

    kind: ClassVar[str] = "rewrite"
    work: ClassVar[str] = "engine.jobs.rewrite"

    task: str
    by: str
    model: str
    file: BundlePath


class ScoreJob(Payload):
    """Answers to verify: `file` holds one JSON object a line, as `engine.jobs.score.as_line` makes; verdicts and the
    report go to `output`.

    Attributes:
        measure: what the answers are scored against, as `engine.evaluation.report.summarise` takes it.
        references: the systems that every other one is compared with.
    """

    kind: ClassVar[str] = "score"
    work: ClassVar[str] = "engine.jobs.score"
    needs_device: ClassVar[bool] = False
    reads_hub: ClassVar[bool] = False

    task: str
    file: BundlePath
    output: BundlePath
    measure: str
    references: tuple[str, ...]


class RunLabelsJob(Payload):
    """Labels to run: `file` holds one JSON object a line with `query`, `label` and `gold`, in `engine.jobs.run_labels`'
    words; `output` gets one value a line: whether it is right, or its key where `gold` is null.
    """

    kind: ClassVar[str] = "run-labels"
    work: ClassVar[str] = "engine.jobs.run_labels"
    needs_device: ClassVar[bool] = False
    reads_hub: ClassVar[bool] = False

    task: str
    file: BundlePath
    output: BundlePath


PAYLOADS: Mapping[str, type[Payload]] = {
    payload.kind: payload
    for payload in (
        *(StudentJob, ForecastJob, ExportJob, LocalLabelJob, RayLabelJob),
        *(EmbedJob, NearDuplicatesJob, RewriteJob, ScoreJob, RunLabelsJob, SecondDrawsJob),
    )
}
"""What workers do, by kind."""


def needs_device(kind: str) -> bool:
    """Whether a worker of this kind takes a device."""
    return kind not in PAYLOADS or PAYLOADS[kind].needs_device


def takes_all_devices(kind: str) -> bool:
    """Whether a worker of this kind is spread over all devices."""
    return kind in PAYLOADS and PAYLOADS[kind].takes_all_devices


def write_spec(folder: Path, payload: Payload) -> None:
    """Write what a worker is to do into its folder, with paths relative to it.

    Raises:
        ConfigError: if it names a folder as a model where none may be named.
    """
    check_names(payload)
    data = payload.model_dump(mode="json", context={"folder": Path(os.path.abspath(folder))})
    write_atomically(folder / SPEC_FILE, {"kind": payload.kind, "payload": data})


def read_spec(folder: Path) -> Payload:
    """The inverse of `write_spec`, with whole paths.

    Raises:
        ConfigError: if it is no job of a kind that workers do, or names a folder as a model where none may be named.
    """
    spec = json.loads((folder / SPEC_FILE).read_text("utf-8"))
    if spec["kind"] not in PAYLOADS:
        raise ConfigError(f"no worker does jobs of the kind {spec['kind']!r}; they do {', '.join(PAYLOADS)}")
    payload = read_config(PAYLOADS[spec["kind"]], spec["payload"], {"folder": Path(os.path.abspath(folder))})
    check_names(payload)
    return payload


def keys_of(folder: Path) -> tuple[str, ...]:
    """The variables of the keys that the worker of a folder needs; none where it will refuse its work."""
    try:
        return read_spec(folder).keys
    except (OSError, ValueError, LookupError, TypeError, TacitError):
        return ()
