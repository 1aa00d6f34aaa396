"""Teachers that are files: outputs somebody collected earlier, replayed through the same path as live replies."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.values import Purpose, Reply, TeacherSpec


@dataclass(frozen=True)
class Recording:
    """One recorded output. Without an answer the raw text is parsed like a live reply."""

    rationale: str
    answer: str | None
    raw: str | None = None
    factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedTeacher:
    """The recordings of one teacher, by query id. It declines what it does not know, and every rewrite."""

    name: str
    recordings: Mapping[str, Recording]
    source: str = ""

    @property
    def spec(self) -> TeacherSpec:
        """Provider `recorded`; the source's hash is the endpoint, so another file makes other samples."""
        return TeacherSpec(self.name, "recorded", self.name, endpoint=self.source, concurrency=1)

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
        if recording.answer is None:
            text = recording.raw or recording.rationale
            return Reply(text, text)
        text = json.dumps(
            {"rationale": recording.rationale, "label": recording.answer, "scores": dict(recording.factors)},
            ensure_ascii=False,
        )
        return Reply(text, recording.raw or text)


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
        line = {"teacher": teacher, "query_id": query_id, **asdict(recording)}
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
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
        place = 0
        with path.open("rb") as file:
            for line in file:
                data = json.loads(line)
                if data["teacher"] == teacher:
                    self._places[data["query_id"]] = place
                place += len(line)

    def __getitem__(self, query_id: str) -> Recording:
        with self._path.open("rb") as file:
            file.seek(self._places[query_id])
            data = json.loads(file.readline())
        return Recording(data["rationale"], data["answer"], data["raw"], data["factors"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
