"""Teachers that are files: outputs somebody collected earlier, replayed through the same path as live replies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import ErrorKind, TeacherError
from engine.ports import Request
from engine.types import Purpose, Reply, TeacherSpec


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
