"""Training beside TRL's SFTTrainer with its defaults: `python -m tests.bench_train [ROWS.jsonl ...]`.

A row is {"prompt": [[role, text], ...], "completion": text}; without a file the shipped demo's samples are the rows.
Both train the packaged student on the same rows in the same order, each in a process of its own, in turns.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench_table import Part, measure_peak

SHIPPED = Path(__file__).parents[1] / "app" / "shipped" / "demo.tacit.zip"
UPDATES, ROUNDS, BATCH = 8, 3, 8
RATE = 1e-4
SETTLE = 2
"""Updates that are not counted: kernels are prepared in them."""
PART = Part("Training, beside TRL's SFTTrainer with its defaults")


def main(files: Sequence[str]) -> None:
    """Both trainers on each file's rows."""
    with tempfile.TemporaryDirectory() as folder:
        for file in [Path(name) for name in files] or [write_demo_rows(Path(folder) / "demo.jsonl")]:
            compare(file)


def compare(file: Path) -> None:
    """Run both in turns: tokens a second, their ratio and how far the losses are apart."""
    told: dict[str, list[dict[str, Any]]] = {"SFTTrainer": [], "Tacit": []}
    for _ in range(ROUNDS):
        for which, results in told.items():
            command = [sys.executable, "-m", "tests.bench_train", "--run", which, str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    rates = {which: [result["rate"] for result in results] for which, results in told.items()}
    ratios = [mine / plain for mine, plain in zip(rates["Tacit"], rates["SFTTrainer"], strict=True)]
    for which, results in told.items():
        seen = ", ".join(f"{rate:.0f}" for rate in rates[which])
        peak = max(result["peak_gb"] for result in results)
        PART.add(f"{file.stem}: {which}", f"{statistics.median(rates[which]):.0f} tokens/s", peak, f"rounds: {seen}")
    pairs = zip(told["Tacit"][0]["losses"], told["SFTTrainer"][0]["losses"], strict=True)
    apart = max(abs(mine / plain - 1) for mine, plain in pairs)
    spread = f"median of rounds, from {min(ratios):.2f} to {max(ratios):.2f}"
    PART.add(f"{file.stem}: Tacit's rate to SFTTrainer's", f"{statistics.median(ratios):.2f} times", note=spread)
    PART.add(f"{file.stem}: losses of all {UPDATES} updates agree within", f"{apart:.2%}")


def write_demo_rows(file: Path) -> Path:
    """The shipped demo's samples as rows of the full stage."""
    import pyarrow.parquet as pq

    from engine.datasets.full import rationale_rows
    from engine.datasets.rows import Example
    from engine.tasks import get_task
    from engine.values import make_query

    with zipfile.ZipFile(SHIPPED) as shipped:
        tables = {name: pq.read_table(shipped.open(f"{name}.parquet")).to_pylist() for name in ("queries", "samples")}
    queries = {row["id"]: make_query(row["text"]) for row in tables["queries"]}
    examples = [Example(queries[s["query_id"]], s["id"], s["rationale"], s["label"]) for s in tables["samples"]]
    rows = rationale_rows(get_task("custom"), [example for example in examples if example.rationale and example.label])
    file.write_text("\n".join(json.dumps({"prompt": row.prompt, "completion": row.completion}) for row in rows))
    return file


def run(which: str, file: Path) -> None:
    """Train once; what came of it is printed as JSON."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback, set_seed

    from engine.config import StudentConfig
    from engine.datasets.encode import encode_row
    from engine.inference.writer import load_tokenizer
    from engine.values import StageRow

    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    if not torch.cuda.is_available():
        torch.set_num_threads(2)
    set_seed(0)
    student = StudentConfig()
    tokenizer = load_tokenizer(student)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    random.Random(0).shuffle(rows)
    encoded = [
        encode_row(tokenizer, StageRow(str(n), "q", tuple((r, t) for r, t in row["prompt"]), row["completion"], None))
        for n, row in enumerate(rows[: UPDATES * BATCH])
    ]
    columns = {"input_ids": [row.input_ids for row in encoded], "labels": [row.labels for row in encoded]}
    make = {"SFTTrainer": make_plain, "Tacit": make_own}[which]
    with tempfile.TemporaryDirectory() as folder:
        trainer = make(student, tokenizer, Dataset.from_dict(columns), Path(folder))
        trainer.add_callback(Clock)
        trainer.train()
    tokens = sum(len(row.input_ids) for row in encoded[SETTLE * BATCH :])
    result = {
        "rate": tokens / (ends[-1] - ends[SETTLE - 1]),
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "peak_gb": find_peak(),
    }
    print(json.dumps(result))


def find_peak() -> float:
    """The most memory so far, in GiB: the GPU's where there is one."""
    import torch

    return float(torch.cuda.max_memory_allocated()) / 2**30 if torch.cuda.is_available() else measure_peak()


def make_plain(student: Any, tokenizer: Any, rows: Any, folder: Path) -> Any:
    """TRL's trainer as it stands; only the device, the rate, the order of rows and the count of updates are named."""
    import torch
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    from engine.inference.writer import student_folder

    cpu = not torch.cuda.is_available()
    settings = {"use_cpu": cpu, "max_steps": UPDATES, "learning_rate": RATE, "report_to": [], "logging_steps": 1}
    order = {"train_sampling_strategy": "sequential", "disable_tqdm": True, "save_strategy": "no"}
    cosine = {"lr_scheduler_type": "cosine", "warmup_steps": 1}
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    return SFTTrainer(
        model=student_folder(student),
        args=SFTConfig(output_dir=str(folder), **settings, **order, **cosine),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora,
    )


def make_own(student: Any, tokenizer: Any, rows: Any, folder: Path) -> Any:
    """A stage's trainer."""
    from engine.config import TrainConfig
    from engine.datasets.encode import Encoded
    from engine.inference.writer import pick_device
    from engine.train.activations import fit_activations
    from engine.train.sft import CompletionTrainer, StageJob, _arguments, open_adapter

    config = TrainConfig(updates=UPDATES, batch_size=BATCH, learning_rate=RATE)
    job = StageJob("bench", student, config, (), None, folder)
    device = pick_device()
    model = open_adapter(job, device)
    encoded = [Encoded(row["input_ids"], row["labels"]) for row in rows]
    keeps = fit_activations(model, encoded, BATCH, tokenizer.pad_token_id, device.name)
    arguments = _arguments(job, device, UPDATES, False, keeps=keeps)
    arguments.set_save("no")
    return CompletionTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], Path(sys.argv[3]))
    else:
        main(sys.argv[1:])
