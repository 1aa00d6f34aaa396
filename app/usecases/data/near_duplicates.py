"""Near duplicates among a project's queries, by embedding; across the splits they are a leak."""

from __future__ import annotations

from dataclasses import dataclass

from app.usecases.workspace.context import Context
from engine.errors import StateError
from engine.jobs.spec import NearDuplicatesJob
from engine.lines import read_lines, write_lines
from engine.values import Job, Query

MOST_PAIRS = 1000


@dataclass(frozen=True)
class Resembling:
    """Two queries whose texts are close. `leak`: one is held out and the other one is not."""

    first: str
    second: str
    similarity: float
    leak: bool


@dataclass(frozen=True)
class ResembleService:
    """Use case of near duplicates."""

    context: Context

    def find(self, project_name: str, threshold: float) -> list[Resembling]:
        """Pairs of queries whose cosine similarity reaches the threshold, leaks first, closest first, at most 1,000.

        Raises:
            StateError: if the project has no queries.
        """
        project = self.context.projects.get(project_name)
        queries = self.context.queries.get(project.id)
        if not queries:
            raise StateError(f"{project.name!r} has no queries yet")
        texts = [" ".join([query.text, *(choice.text for choice in query.choices)]) for query in queries]

        def fill(job: Job) -> NearDuplicatesJob:
            file, output = write_lines(job.path / "texts.jsonl", texts), job.path / "pairs.jsonl"
            return NearDuplicatesJob(embedder=project.config.embedder, file=file, output=output, threshold=threshold)

        job = self.context.submit(project.id, NearDuplicatesJob.kind, {}, fill=fill)
        self.context.wait(job.id)
        pairs = [_describe(queries, *pair) for pair in read_lines(job.path / "pairs.jsonl")]
        return sorted(pairs, key=lambda pair: (not pair.leak, -pair.similarity))[:MOST_PAIRS]


def _describe(queries: list[Query], first: int, second: int, similarity: float) -> Resembling:
    one, other = queries[first], queries[second]
    return Resembling(one.text, other.text, round(similarity, 4), one.split is not other.split)
