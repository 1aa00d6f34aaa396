"""Writing beside one prompt after another: `python -m tests.bench_write [ROWS.jsonl ...]`.

A row is {"prompt": [[role, text], ...], ...}; without a file the shipped demo's queries are the prompts. The packaged
student carries an adapter of the shipped demo. One by one is transformers' own `generate` through PEFT, on a part of
the prompts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench_train import SHIPPED, write_demo_rows

PROMPTS, ALONE, TOKENS = 240, 24, 96


def main(files: Sequence[str]) -> None:
    """Both ways on each file's prompts."""
    with tempfile.TemporaryDirectory() as folder:
        adapter = unpack_adapter(Path(folder))
        for file in [Path(name) for name in files] or [write_demo_rows(Path(folder) / "demo.jsonl")]:
            compare(file, adapter)


def unpack_adapter(folder: Path) -> Path:
    """The adapter of the demo's first stage, which writes rationales."""
    with zipfile.ZipFile(SHIPPED) as shipped:
        names = [name for name in shipped.namelist() if name.startswith("adapters/") and "/stage1/" in name]
        shipped.extractall(folder, names)
    return folder / Path(names[0]).parent


def compare(file: Path, adapter: Path) -> None:
    """Print tokens a second of both, and how many texts are the same."""
    import torch

    from engine.config import StudentConfig
    from engine.inference.writer import Writer, WriteRequest, load_student, load_tokenizer, pick_device

    if not torch.cuda.is_available():
        torch.set_num_threads(2)
    student = StudentConfig()
    tokenizer = load_tokenizer(student)
    rows = [json.loads(line)["prompt"] for line in file.read_text().splitlines()]
    prompts = list({json.dumps(row): row for row in rows}.values())[:PROMPTS]
    asks = [WriteRequest(str(n), tuple((role, text) for role, text in row)) for n, row in enumerate(prompts)]
    spread = asks[:: len(asks) // ALONE][:ALONE]
    alone, alone_rate = write_alone(load_student(student, adapter, pick_device()), tokenizer, spread)
    print(f"{f'write {file.stem}, one by one':58} {alone_rate:9.1f} tokens/s", flush=True)
    for rows_at_once in (8, student.generate_batch):
        writer = Writer(load_student(student, adapter, pick_device()), tokenizer, TOKENS, rows_at_once)
        list(writer.write(asks[:rows_at_once]))
        began = time.perf_counter()
        written = {generation.query_id: generation for generation in writer.write(asks)}
        rate = sum(generation.tokens for generation in written.values()) / (time.perf_counter() - began)
        same = sum(written[query].text == text for query, text in alone.items())
        note = f"{rate / alone_rate:.1f} times, the same text on {same} of {len(alone)}"
        print(f"{f'write {file.stem}, {rows_at_once} at once':58} {rate:9.1f} tokens/s  {note}", flush=True)


def write_alone(model: Any, tokenizer: Any, asks: Sequence[Any]) -> tuple[dict[str, str], float]:
    """Texts by `generate`, a prompt at a time, and tokens a second."""
    import torch
    from transformers import GenerationConfig

    from engine.datasets.encode import encode_prompt
    from engine.inference.writer import find_stops

    stops = find_stops(model, tokenizer)
    how = GenerationConfig(max_new_tokens=TOKENS, eos_token_id=sorted(stops), pad_token_id=tokenizer.pad_token_id)
    model.eval()
    texts, tokens, seconds = {}, 0, 0.0
    for place, ask in enumerate([asks[0], *asks]):
        ids = torch.tensor([encode_prompt(tokenizer, ask.prompt)], device=model.device)
        began = time.perf_counter()
        with torch.inference_mode():
            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=how)
        if place:  # the first prepares the kernels
            seconds += time.perf_counter() - began
            tokens += out.shape[1] - ids.shape[1]
        texts[ask.query_id] = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
    return texts, tokens / seconds


if __name__ == "__main__":
    main(sys.argv[1:])
