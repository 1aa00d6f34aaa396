"""`make bench`: what Tacit does at size, beside what a user would write instead, in one run.

Prints a row a measurement and writes them into `docs/benchmarks.md`, with the machine's description. `python -m
tests.bench PART ...` runs some of the parts and prints only. Each part has a process of its own, so that its memory is
its own; nothing here is a test.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from app.services import open_services
from app.usecases.data.imports import DataService
from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context, open_context
from engine.config import ProjectConfig
from engine.packaged import PACKAGED_EMBEDDER
from engine.redaction import Redactor
from engine.selection.arrays import SelectionInput
from engine.selection.select import select
from engine.selection.settings import SelectionConfig, dcrs
from engine.traces.settings import TraceOrder
from storage.selections import Search
from tests.bench_size import bench_size
from tests.bench_table import ROWS, Part, describe_machine, measure_peak, read_rows, render, say_seconds, write_page

QUERIES, TEACHERS, DIMENSIONS = 100_000, 3, 384
PLAIN_QUERIES = 2_000
SAMPLES = 1_000_000
REQUESTS = 5_000
CALLS = 5
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
APART = {"training": "bench_train", "writing": "bench_write", "paint": "bench_paint"}
"""Parts that are programs of their own."""


def main() -> None:
    """Run the parts that are named, or all of them and write the page."""
    chosen = sys.argv[1:]
    if chosen[:1] == ["--run"]:
        PARTS[chosen[1]]()
        return
    if unknown := [name for name in chosen if name not in PARTS and name not in APART]:
        raise SystemExit(f"there is no part {', '.join(unknown)}; there are {', '.join((*PARTS, *APART))}")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        for name in chosen or (*PARTS, *APART):
            command = [f"tests.{APART[name]}"] if name in APART else ["tests.bench", "--run", name]
            subprocess.run([sys.executable, "-m", *command], check=True, env=os.environ | {ROWS: str(rows)})
        if not chosen:
            write_page(PAGE, render(read_rows(rows), describe_machine(load)))
            print(f"written into {PAGE.relative_to(PAGE.parents[1])}")


def write_traces(file: Path, count: int) -> Path:
    """Stored completions of about 1.3 KB: three system prompts, two models, e-mail addresses in a twentieth of them."""
    rng = np.random.default_rng(0)
    words = ["invoice", "customer", "refund", "order", "status", "delivery", "account", "reset", "password", "plan"]
    systems = ["Answer billing or delivery. " + " ".join(rng.choice(words, 60)), "Label the ticket.", ""]
    with file.open("w") as out:
        for n in range(count):
            text = f"Ticket {n}: {' '.join(rng.choice(words, 90))}" + (f" mail u{n}@example.com" if n % 20 == 0 else "")
            asked = [{"role": "system", "content": systems[n % 3]}, {"role": "user", "content": text}]
            reply = {"role": "assistant", "content": "billing", "reasoning_content": " ".join(rng.choice(words, 20))}
            usage = {"prompt_tokens": 200, "completion_tokens": 5}
            row = {"id": f"c{n}", "model": f"model-{n % 2}", "messages": asked, "usage": usage}
            out.write(json.dumps({**row, "choices": [{"message": reply, "finish_reason": "stop"}]}) + "\n")
    return file


def bench_traces(folder: Path) -> None:
    """Traces to queries and samples of recorded teachers, personal data masked."""
    file = write_traces(folder / "traces.jsonl", QUERIES)
    with open_services(folder / "of-traces") as services:

        def bring() -> None:
            imported = services.traces.import_into({"name": "bench"}, [file], TraceOrder(personal="mask"))
            services.jobs.wait(str(imported.job_id))

        IMPORTS.measure(f"{QUERIES:,} traces of 1.3 KB, masked", bring)


def bench_labelling() -> None:
    """Requests of 50 ms, 64 in flight, to a provider on loopback; each client in a process of its own, in turns."""
    part = Part("Labelling: requests of 50 ms, 64 in flight")
    command = [sys.executable, "-m", "tests.fakes.provider", "0.05"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        url = server.stdout.readline().strip()
        for requests in (REQUESTS, REQUESTS * 10):
            plain, mine = run_client("plain", url, requests), run_client("tacit", url, requests)
            for name, told in (("a plain gather", plain), ("Tacit, journal, store and ledger on", mine)):
                note = f"{plain['seconds'] / told['seconds']:.2f} of the gather" if told is mine else ""
                note += f"{', ' if note else ''}{told['cpu_s'] * 1000 / requests:.2f} ms of processor time a request"
                rate = f"{requests / told['seconds']:.0f} requests/s"
                part.add(f"{requests:,} requests, {name}", rate, told["peak_gb"], note)
        server.stdin.close()
    bench_redaction(part)


def bench_redaction(part: Part) -> None:
    """What looking for two keys in a journaled reply takes, which is part of the above."""
    redactor, calls = Redactor(), 2_000
    for key in ("sk-" + "aB3dE5fG7hJ9" * 5, "m0123456789abcdef0123456789abcdef"):
        redactor.add(key)
    for characters in (500, 8_000):
        text = ('The store has 23 apples; "Tom" buys 4/5 of them, so 19 are left. ' * 200)[:characters]
        reply = {"sample_id": "a" * 24, "raw": text, "sample": {"rationale": text[: characters // 2], "label": "4"}}
        spent = time_call(lambda reply=reply: [redactor.clean(reply) for _ in range(calls)]) / calls
        part.add(f"two keys looked for in a reply of {characters:,} characters", f"{spent * 1e3:.3f} ms")


def run_client(which: str, url: str, requests: int) -> dict[str, float]:
    """Run one client of `tests.bench_label` to its end."""
    command = [sys.executable, "-m", "tests.bench_label", which, url, str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def make_input(queries: int) -> SelectionInput:
    """Random samples of three teachers a query; factor scores around the threshold."""
    rng = np.random.default_rng(0)
    count = queries * TEACHERS
    return SelectionInput(
        query=np.repeat(np.arange(queries), TEACHERS),
        teacher=np.tile(np.arange(TEACHERS), queries),
        label=rng.integers(0, 3, count),
        order=rng.permutation(count),
        factors=rng.uniform(0.9, 1, (count, 3)),
        names=("reasoning", "answer", "clarity"),
        embeddings=rng.standard_normal((count, DIMENSIONS), dtype=np.float32),
    )


def bench_selection() -> None:
    """DCRS on arrays against a loop with sentence-transformers' `cos_sim`, the loop on a part and scaled."""
    part = Part(f"Selection of {QUERIES:,} queries x {TEACHERS} teachers x {DIMENSIONS} dimensions")
    samples = make_input(QUERIES)
    select(make_input(50), dcrs())
    slowest = 0.0
    for what, config in (
        ("at the paper's threshold", dcrs(threshold=0.95)),
        ("everything retained, labels settled", dcrs(threshold=0, disagreement="majority")),
    ):
        first, *more = (time_call(lambda c=config: select(samples, c)) for _ in range(CALLS))
        slowest = max(slowest, middle := statistics.median([first, *more]))
        part.add(what, say_seconds(middle), measure_peak(), f"median of {CALLS} calls; the first {say_seconds(first)}")
    few = make_input(PLAIN_QUERIES)
    plain_loop(make_input(50), 0)
    plain = statistics.median(time_call(lambda: plain_loop(few, 0)) for _ in range(3)) * QUERIES / PLAIN_QUERIES
    note = f"of {PLAIN_QUERIES:,} queries, scaled; {plain / slowest:.0f} times the slower of both"
    part.add("a loop over sentence-transformers' cos_sim", say_seconds(plain), measure_peak(), note)


def time_call(work: Callable[[], object]) -> float:
    """Seconds by the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plain_loop(samples: SelectionInput, threshold: float) -> list[tuple[int, int]]:
    """What one writes with sentence-transformers at hand: a matrix a query, the smallest entry off the diagonal."""
    from sentence_transformers.util import cos_sim

    pairs = []
    confidence = samples.factors.mean(axis=1)
    for query in range(int(samples.query.max()) + 1):
        rows = np.flatnonzero((samples.query == query) & (confidence >= threshold))
        if len(rows) >= 3:
            matrix = cos_sim(samples.embeddings[rows], samples.embeddings[rows]).numpy()
            matrix[np.tril_indices(len(rows))] = np.inf
            left, right = np.unravel_index(matrix.argmin(), matrix.shape)
            pairs.append((int(rows[left]), int(rows[right])))
    return pairs


def bench_import(folder: Path) -> None:
    """100,000 queries from a file into the store."""
    jsonl, table = folder / "queries.jsonl", folder / "queries.csv"
    rows = [{"id": f"q{n}", "question": f"What is {n} plus {n}?", "answer": str(2 * n)} for n in range(QUERIES)]
    jsonl.write_text("\n".join(map(json.dumps, rows)))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    context = open_context(folder / "import")
    service = DataService(context)
    for path in (jsonl, table):
        config = {"name": path.suffix}
        what = f"{QUERIES:,} queries from {path.suffix}"
        IMPORTS.measure(what, lambda c=config, p=path: service.import_into(c, p, {}, 0.1))
    context.db.close()


def bench_paging(folder: Path) -> None:
    """A page of the list on Select, of queries with a million samples, as the store gives it."""
    context = open_context(folder / "paging")
    queries = SAMPLES // TEACHERS
    ids = pa.array([f"{n:024x}" for n in range(queries)])
    asked = {"project_id": "p", "choices": "[]", "split": "distill"}
    answered = {"project_id": "p", "rationale": "because " * 20, "split": "distill"}
    rng = np.random.default_rng(0)
    texts, positions = pa.array([f"What is {n} plus {n}?" for n in range(queries)]), pa.array(range(1, queries + 1))
    with context.db.write() as writer:
        columns = {"id": ids, "text": texts, "position": positions}
        writer.insert("queries", pa.table(columns | {k: pa.array([v] * queries) for k, v in asked.items()}))
        for name in (f"t{n}" for n in range(TEACHERS)):
            own = pa.array([f"{n:024x}{name}" for n in range(queries)])
            columns = {"id": own, "text_hash": own, "query_id": ids, "teacher": pa.array([name] * queries)}
            columns["draw"] = pa.array(np.zeros(queries, dtype=np.int32))
            columns["factors"] = pa.array([[("answer", 1.0)]] * queries, pa.map_(pa.string(), pa.float64()))
            columns["label"] = columns["label_key"] = pa.array(np.where(rng.random(queries) < 0.1, "1", "2"))
            writer.insert("samples", pa.table(columns | {k: pa.array([v] * queries) for k, v in answered.items()}))
            rows = {
                "sample_id": own,
                "query_id": ids,
                "teacher": columns["teacher"],
                "similarity": pa.array(rng.random(queries)),
            }
            rows["reason"] = pa.array(np.where(rng.random(queries) < 0.5, "kept_pair", "below_threshold"))
            writer.insert("selection_rows", pa.table(rows | {"selection_id": pa.array(["s"] * queries)}))
    part = Part(f"50 queries in the list of Select, of {SAMPLES:,} samples")
    for which, sort in (("all", ""), ("labels differ", "-cosine"), ("nothing kept", "text")):
        search = Search("p", "s", which=which, sort=sort)
        for what, where in (("first", 0), ("middle", queries // 2), ("last", queries - 60)):
            name = f"{what} page, {which}{f', by {sort}' if sort else ''}"
            part.measure(name, lambda s=search, w=where: context.selections.find_page(s, w, 50))
    context.db.close()


def bench_preview(folder: Path, count: int) -> None:
    """What moving a slider on the page Select takes, from the store's arrays in memory to numbers and histogram."""
    context = open_context(folder)
    project = context.projects.create(ProjectConfig(name="p", task="custom", embedder="packaged"))
    fill_samples(context, project.id, count)
    service = SelectService(context)
    part = Part("Behind a slider of Select")
    part.measure(
        f"first numbers of {count:,} samples, behind their embedding", lambda: service.preview("p", SelectionConfig())
    )
    for threshold in (0.95, 0.93):
        config = dcrs(threshold=threshold, weights={"reasoning": 1, "answer": 2, "agreement": 1})
        part.measure(f"numbers of {count:,} samples at {threshold}", lambda c=config: service.preview("p", c))
    context.db.close()


def fill_samples(context: Context, project_id: str, count: int) -> None:
    """Queries with a sample of each of three teachers, embedded, in bulk."""
    rng = np.random.default_rng(0)
    ids, queries = [f"{n:024x}" for n in range(count)], [f"{n // TEACHERS:024x}" for n in range(count)]
    scores = rng.uniform(0.9, 1, (count, 3)).round(3).tolist()
    factors = [list(zip(("reasoning", "answer", "clarity"), row, strict=True)) for row in scores]
    labels = [str(n) for n in rng.integers(0, 3, count)]
    columns = {"id": ids, "query_id": queries, "label": labels, "label_key": labels, "text_hash": ids}
    same = {"project_id": project_id, "rationale": "because " * 20, "split": "distill"}
    table = pa.table(
        {
            **columns,
            "teacher": [f"t{n % TEACHERS}" for n in range(count)],
            "draw": pa.array(np.zeros(count, dtype=np.int32)),
            "factors": pa.array(factors, pa.map_(pa.string(), pa.float64())),
            **{name: [value] * count for name, value in same.items()},
        }
    )
    with context.db.write() as writer:
        writer.insert("samples", table)
    vectors = rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
    context.samples.add_vectors(PACKAGED_EMBEDDER, "1", ids, vectors)


def in_folder(*works: Callable[[Path], None]) -> Callable[[], None]:
    """The works one after the other, each with a folder of its own that goes with it."""

    def run() -> None:
        for work in works:
            with tempfile.TemporaryDirectory() as folder:
                work(Path(folder))

    return run


IMPORTS = Part("Import")
PARTS: dict[str, Callable[[], None]] = {
    "selection": bench_selection,
    "import": in_folder(bench_import, bench_traces),
    "pages": in_folder(bench_paging),
    "sliders": in_folder(*(lambda folder, n=n: bench_preview(folder, n) for n in (9_999, 300_000))),
    "size": in_folder(*(lambda folder, n=n: bench_size(folder / "size", n) for n in (300_000, 3 * SAMPLES))),
    "labelling": bench_labelling,
}


if __name__ == "__main__":
    main()
