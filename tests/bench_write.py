"""Writing beside one prompt after another: `python -m tests.bench_write [ROWS.jsonl ...]`.

A row is {"prompt": [[role, text], ...], ...}; without a file the shipped demo's queries are the prompts. The packaged
student carries an adapter of the shipped demo. Beside it: transformers' own `generate` through PEFT, one by one on a
part of the prompts, and on all of them in padded batches of 32, as they come. Where OpenVINO writes here, its first
pass over the prompts is there too; the seconds to open it stand apart.
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

from tests.bench_table import Part, measure_peak
from tests.bench_train import SHIPPED, write_demo_rows

PROMPTS, ALONE, TOKENS = 240, 24, 96
PLAIN_BATCH = 32
PART = Part("Writing, beside transformers' generate")


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
    """Tokens a second of all ways, and how many texts are as those one by one."""
    import torch

    from engine.config import StudentConfig
    from engine.inference.writer import Writer, WriteRequest, load_student, load_tokenizer, pick_device
    from engine.inference.writers import WriterOrder

    if not torch.cuda.is_available():
        torch.set_num_threads(2)
    student = StudentConfig()
    tokenizer = load_tokenizer(student)
    rows = [json.loads(line)["prompt"] for line in file.read_text().splitlines()]
    prompts = list({json.dumps(row): row for row in rows}.values())[:PROMPTS]
    asks = [WriteRequest(str(n), tuple((role, text) for role, text in row)) for n, row in enumerate(prompts)]
    spread = asks[:: len(asks) // ALONE][:ALONE]
    model = load_student(student, adapter, pick_device())
    alone, alone_rate = write_plain(model, tokenizer, spread, 1)
    PART.add(f"{file.stem}: generate, one by one", f"{alone_rate:.1f} tokens/s", measure_peak())
    batched, plain_rate = write_plain(model, tokenizer, asks, PLAIN_BATCH)
    same = sum(batched[query] == text for query, text in alone.items())
    note = f"{plain_rate / alone_rate:.1f} times one by one, the same text on {same} of {len(alone)}"
    PART.add(f"{file.stem}: generate, {PLAIN_BATCH} at once", f"{plain_rate:.1f} tokens/s", measure_peak(), note)
    for rows_at_once in (8, student.generate_batch):
        writer = Writer(load_student(student, adapter, pick_device()), tokenizer, TOKENS, rows_at_once)
        list(writer.write(asks[:rows_at_once]))
        began = time.perf_counter()
        written = {generation.query_id: generation for generation in writer.write(asks)}
        rate = sum(generation.tokens for generation in written.values()) / (time.perf_counter() - began)
        same = sum(written[query].text == text for query, text in alone.items())
        note = f"{rate / alone_rate:.1f} times one by one, the same text on {same} of {len(alone)}"
        note += f"; {rate / plain_rate:.1f} times generate in batches"
        PART.add(f"{file.stem}: Tacit, {rows_at_once} at once", f"{rate:.1f} tokens/s", measure_peak(), note)
    write_other(file.stem, WriterOrder(student, adapter, TOKENS, student.generate_batch), asks, alone, alone_rate)


def write_other(title: str, order: Any, asks: Sequence[Any], alone: dict[str, str], alone_rate: float) -> None:
    """The same by what a step would be written with here, where that is not PyTorch."""
    from engine.inference.writers import WRITERS, open_writer

    began = time.perf_counter()
    name, writer = open_writer(order, asks)
    if name == "pytorch":
        return
    opened = time.perf_counter() - began
    began = time.perf_counter()
    written = {generation.query_id: generation for generation in writer.write(asks)}
    rate = sum(generation.tokens for generation in written.values()) / (time.perf_counter() - began)
    same = sum(written[query].text == text for query, text in alone.items())
    note = f"{rate / alone_rate:.1f} times one by one, the same text on {same} of {len(alone)}; {opened:.0f} s to open"
    what = f"{title}: Tacit, {order.batch} at once, by {WRITERS[name].title}"
    PART.add(what, f"{rate:.1f} tokens/s", measure_peak(), note)


def write_plain(model: Any, tokenizer: Any, asks: Sequence[Any], at_once: int) -> tuple[dict[str, str], float]:
    """Texts by `generate`, padded on the left, and their tokens a second up to each text's end."""
    import torch
    from transformers import GenerationConfig

    from engine.datasets.encode import encode_prompt
    from engine.inference.writer import find_stops

    stops = find_stops(model, tokenizer)
    how = GenerationConfig(max_new_tokens=TOKENS, eos_token_id=sorted(stops), pad_token_id=tokenizer.pad_token_id)
    model.eval()
    batches = [asks[place : place + at_once] for place in range(0, len(asks), at_once)]
    texts, tokens, seconds = {}, 0, 0.0
    for place, batch in enumerate([batches[0], *batches]):
        rows = [encode_prompt(tokenizer, ask.prompt) for ask in batch]
        width = max(map(len, rows))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
        began = time.perf_counter()
        with torch.inference_mode():
            out = model.generate(input_ids=ids, attention_mask=mask, generation_config=how)[:, width:].tolist()
        if place:  # the first prepares the kernels
            seconds += time.perf_counter() - began
            written = [row[: next((n + 1 for n, token in enumerate(row) if token in stops), len(row))] for row in out]
            tokens += sum(map(len, written))
            texts |= {ask.query_id: decode(tokenizer, row) for ask, row in zip(batch, written, strict=True)}
    return texts, tokens / seconds


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()


if __name__ == "__main__":
    main(sys.argv[1:])
