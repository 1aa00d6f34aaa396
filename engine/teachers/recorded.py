"""Teachers that are files: outputs somebody collected earlier, replayed through the same path as live replies."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType

from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.values import Purpose, Reply, TeacherSpec, Usage

UNCOUNTED = Usage()
"""Of an answer whose tokens nobody counted."""


_NAME = re.compile(r"[\w.\-/:+@()][\w.\-/:+@() ]{0,68}")
"""Names of teachers as those of others, and what names of models hold; `(traces)` behind 60 characters has room."""


def name_problem(name: str) -> str | None:
    """What is wrong with the name of a recorded teacher."""
    if _NAME.fullmatch(name):
        return None
    return "the name of its teacher is too long, or has more than letters, digits, spaces and . _ - / : + @ ( )"


@dataclass(frozen=True)
class Recording:
    """One recorded output. Without an answer the raw text is parsed like a live reply.

    `whole`: the answer is all that the model said, and is taken as it is. `usage`, `cost` (US dollars) and `latency_s`
    are what its provider billed and how long it took, where that was recorded; `finish` is why the reply ended.
    """

    rationale: str
    answer: str | None
    raw: str | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    whole: bool = False
    usage: Usage = UNCOUNTED
    cost: str | None = None
    latency_s: float | None = None
    finish: str = "stop"

    @property
    def reply(self) -> Reply:
        """What the teacher sent back."""
        rest = (self.usage, self.finish, self.latency_s)
        if self.answer is None:
            text = self.raw or self.rationale
            return Reply(text, text, *rest)
        parts = {"rationale": self.rationale, "label": self.answer, "scores": dict(self.factors)}
        text = json.dumps(parts, ensure_ascii=False)
        return Reply(text, self.answer if self.whole else self.raw or text, *rest)


_FIRST = b'{"teacher": "'
_dump = json.JSONEncoder(ensure_ascii=False).encode
_ALWAYS = ("rationale", "answer", "raw", "factors")
"""Fields that stand in every line; the others only where they say something."""
_SILENT = {part.name: part.default for part in fields(Recording) if part.name not in _ALWAYS}


@dataclass(frozen=True)
class RecordedTeacher:
    """The recordings of one teacher, by query id. It declines what it does not know, and every rewrite."""

    name: str
    recordings: Mapping[str, Recording]
    source: str = ""
    model: str = ""

    @property
    def spec(self) -> TeacherSpec:
        """Provider `recorded`; the source's hash is the endpoint, so another file makes other samples."""
        return TeacherSpec(self.name, "recorded", self.model or self.name, endpoint=self.source, concurrency=1)

    @property
    def live(self) -> bool:
        """It can't answer anything new."""
        return False

    async def ask(self, request: Request) -> Reply:
        """Replay the recording of the query.

        Raises:
            TeacherError: unknown_query where there is none, or the request is no plain question.
        """
        recording = self.recordings.get(request.query.id)
        if recording is None or request.purpose not in (Purpose.LABEL, Purpose.EVALUATE) or request.draw:
            raise TeacherError(ErrorKind.UNKNOWN_QUERY, f"{self.name} has no recording of this")
        return recording.reply


class RecordingWriter:
    """Writes recordings to a file that is named after what it holds; nothing stays unless it is committed."""

    def __init__(self, folder: Path) -> None:
        """In a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._part = folder / f"{uuid.uuid4().hex}.part"
        self._digest = hashlib.sha256()

    def __enter__(self) -> RecordingWriter:
        self._file = self._part.open("wb")
        return self

    def keep(self, teacher: str, query_id: str, recording: Recording) -> None:
        """Append one recording."""
        fields = {name: getattr(recording, name) for name in _ALWAYS}
        fields |= {name: value for name, none in _SILENT.items() if (value := getattr(recording, name)) != none}
        if "usage" in fields:
            fields["usage"] = asdict(recording.usage)
        self._write(_dump({"teacher": teacher, "query_id": query_id, **fields}).encode("utf-8", "replace") + b"\n")

    def keep_rest(self, older: Path, kept: AbstractSet[tuple[str, str]], teachers: AbstractSet[str]) -> int:
        """Append what an older file has of some teachers beyond the pairs of teacher and query that were kept; returns
        how many recordings."""
        count = 0
        with older.open("rb") as file:
            for line in file:
                data = json.loads(line)
                if data["teacher"] in teachers and (data["teacher"], data["query_id"]) not in kept:
                    self._write(line)
                    count += 1
        return count

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)

    def commit(self) -> str:
        """Keep the file as SOURCE.jsonl; returns the source."""
        self._file.close()
        source = self._digest.hexdigest()[:24]
        self._part.replace(self._part.with_name(f"{source}.jsonl"))
        return source

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


class RecordingFile(Mapping[str, Recording]):
    """One teacher's recordings in such a file. Only their places are held; a recording is read when it is asked for."""

    def __init__(self, path: Path, teacher: str) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        place, beginning = 0, _dump({"teacher": teacher}).encode("utf-8", "replace")[:-1]
        with path.open("rb") as file:
            for line in file:
                if line.startswith(beginning) or not _names_another(line, beginning):
                    data = json.loads(line)
                    if data["teacher"] == teacher:
                        self._places[data["query_id"]] = place
                place += len(line)

    def __getitem__(self, query_id: str) -> Recording:
        with self._path.open("rb") as file:
            file.seek(self._places[query_id])
            return _read(file.readline())

    def stream(self) -> Iterator[tuple[str, Recording]]:
        """All of them in the order of the file, with the ids of their queries; each is held but once."""
        with self._path.open("rb") as file:
            for query_id, place in self._places.items():
                file.seek(place)
                yield query_id, _read(file.readline())

    def __contains__(self, query_id: object) -> bool:
        return query_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _names_another(line: bytes, beginning: bytes) -> bool:
    """Whether a line tells by its first characters that it is another teacher's, without being read as a whole."""
    name = line.find(b'"', len(_FIRST))
    return line.startswith(_FIRST) and b"\\" not in line[len(_FIRST) : name] and b"\\" not in beginning


def _read(line: bytes) -> Recording:
    data = json.loads(line)
    more = {name: data[name] for name in _SILENT if name in data}
    if "usage" in more:
        more["usage"] = Usage(**more["usage"])
    return Recording(data["rationale"], data["answer"], data["raw"], data["factors"], **more)
