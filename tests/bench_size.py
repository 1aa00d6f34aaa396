"""Selection at size, each step in a process of its own; prints one JSON object.

`python -m tests.bench_size fill FOLDER SAMPLES` makes a workspace with three samples a query, as labelling and an
embedding job leave it but for what is kept of vectors once they were read. `preview FOLDER` takes what a page takes
for the first numbers and for two moves of a slider, `select FOLDER` what `tacit select` does, storing included.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app.services import open_services
from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context, open_context
from engine.config import ProjectConfig
from engine.packaged import PACKAGED_EMBEDDER
from engine.selection.settings import SelectionConfig, dcrs
from tests.bench_table import Part, measure_peak, say_seconds

TEACHERS, DIMENSIONS = 3, 384
_PART = 99_999


def fill(folder: Path, samples: int) -> None:
    """Queries with a sample of each of three teachers, with ids as hashes are; vectors by the texts' hashes."""
    context = open_context(folder)
    project = context.projects.create(ProjectConfig(name="p", task="custom", embedder="packaged"))
    rng = np.random.default_rng(0)
    for begin in range(0, samples, _PART):
        _add_samples(context, project.id, range(begin, min(samples, begin + _PART)), rng)
    with context.db.read() as reader:
        hashes = [row[0] for row in reader.run("SELECT text_hash FROM samples ORDER BY text_hash")]
    for begin in range(0, samples, _PART):
        own = hashes[begin : begin + _PART]
        flat = pa.array(rng.standard_normal(len(own) * DIMENSIONS, dtype=np.float32))
        columns = {"model": [PACKAGED_EMBEDDER] * len(own), "revision": ["1"] * len(own), "text_hash": own}
        vectors = pa.FixedSizeListArray.from_arrays(flat, DIMENSIONS)
        with context.db.write() as writer:
            writer.insert(f"embeddings_{DIMENSIONS}", pa.table({**columns, "vector": vectors}))
    context.db.close()


def _add_samples(context: Context, project_id: str, numbers: range, rng: np.random.Generator) -> None:
    count = len(numbers)
    names = pa.array(["reasoning", "answer", "clarity"] * count)
    scores = pa.array(rng.uniform(0.9, 1, 3 * count).round(3))
    labels = pa.array([str(n) for n in rng.integers(0, 3, count)])
    same = {"project_id": project_id, "rationale": "because " * 20, "split": "distill"}
    table = pa.table(
        {
            "id": [_hash("sample", n) for n in numbers],
            "query_id": [_hash("query", n // TEACHERS) for n in numbers],
            "text_hash": [_hash("text", n) for n in numbers],
            "label": labels,
            "label_key": labels,
            "teacher": [f"t{n % TEACHERS}" for n in numbers],
            "draw": pa.array(np.zeros(count, dtype=np.int32)),
            "factors": pa.MapArray.from_arrays(pa.array(np.arange(0, 3 * count + 1, 3, dtype=np.int32)), names, scores),
            **{name: [value] * count for name, value in same.items()},
        }
    )
    with context.db.write() as writer:
        writer.insert("samples", table)


def _hash(kind: str, number: int) -> str:
    return hashlib.blake2b(f"{kind} {number}".encode(), digest_size=12).hexdigest()


def preview(folder: Path) -> dict[str, tuple[float, float]]:
    """The first numbers, and the numbers after two moves."""
    context = open_context(folder)
    service = SelectService(context)
    told = {"first numbers": _time(lambda: service.preview("p", SelectionConfig()))}
    weights = {"reasoning": 1, "answer": 2, "agreement": 1}
    _time(lambda: service.preview("p", dcrs(0.94, weights)))
    told["numbers of a moved slider"] = _time(lambda: service.preview("p", dcrs(0.93, weights)))
    context.db.close()
    return told


def select(folder: Path) -> dict[str, tuple[float, float]]:
    """A selection that is stored."""
    with open_services(folder) as services:
        return {"select and store": _time(lambda: services.select.select("p", SelectionConfig()))}


def _time(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    began, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - spent


def run_apart(what: str, folder: Path, *more: str) -> dict[str, Any]:
    """One step in a process of its own: what it took, and `peak_gb`."""
    command = [sys.executable, "-m", "tests.bench_size", what, str(folder), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def bench_size(folder: Path, samples: int) -> None:
    """Add a row a step, with the peak of its process: vectors read from the store, and then no more."""
    part = Part("Selection out of the store, three samples a query")
    run_apart("fill", folder, str(samples))
    steps = ["preview", "preview", "select"] if samples < 10**6 else ["select", "preview"]
    for number, what in enumerate(steps):
        told = run_apart(what, folder)
        known = "vectors read from the store" if number == 0 else "cosines kept from before"
        for said, (seconds, spent) in told["took"].items():
            note = f"{known}, {spent:.2f} s of processor time"
            part.add(f"{said}, {samples:,} samples", say_seconds(seconds), told["peak_gb"], note)
    shutil.rmtree(folder)


def main() -> None:
    what, folder, *more = sys.argv[1:]
    if what == "fill":
        fill(Path(folder), int(more[0]))
    took = {"fill": lambda _: {}, "preview": preview, "select": select}[what](Path(folder))
    print(json.dumps({"took": took, "peak_gb": measure_peak()}))


if __name__ == "__main__":
    main()
