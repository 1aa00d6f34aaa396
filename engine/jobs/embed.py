"""Texts to vectors, and which of them are nearly the same (worker only)."""

from __future__ import annotations

import signal

import numpy as np

from engine.inference.embedder import open_embedder
from engine.jobs.context import JobContext
from engine.jobs.spec import EmbedJob, NearDuplicatesJob
from engine.lines import read_lines, write_lines
from engine.selection.overviews import find_close_pairs
from engine.values import hash_id


def run(job: EmbedJob | NearDuplicatesJob, context: JobContext) -> bool:
    """Embed; asked to stop it ends at once, since there is nothing to save: the next try embeds again."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    texts = read_lines(job.file)
    embedder = open_embedder(job.embedder)
    vectors_ND = embedder.embed(texts)
    if isinstance(job, NearDuplicatesJob):
        write_lines(job.output, find_close_pairs(vectors_ND, job.threshold))
        return True
    part = job.output.with_name(f"{job.output.name}.part.npy")
    np.save(part, vectors_ND)
    part.replace(job.output)
    hashes = [hash_id("text", text) for text in texts]
    context.sink.emit("embedded", model=embedder.model, revision=embedder.revision, file=job.output.name, hashes=hashes)
    return True
