"""A local model as the contract suite asks it: through the worker's own code, one request at a time.

The model is taught beforehand to say one thing, so that its replies can be read.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.jobs.local_label import answer_locally
from engine.jobs.spec import LocalLabelJob
from engine.lines import write_lines
from engine.ports import Request
from engine.values import Reply, TeacherSpec, Usage

SAYS = "Hm. Answer: 7"


def teach(folder: Path) -> Path:
    """Train a tiny student until it answers whatever it is asked with `SAYS`."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(0)
    rows = [
        tokenizer.apply_chat_template(
            [{"role": "system", "content": "s" * n}, {"role": "user", "content": "what? " * n}],
            add_generation_prompt=True,
            tokenize=False,
        )
        for n in range(1, 9)
    ]
    ends = [tokenizer(row)["input_ids"] for row in rows]
    said = [*tokenizer(SAYS)["input_ids"], tokenizer.eos_token_id]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(240):
        ids = torch.tensor([[*ends[step % len(ends)], *said]])
        labels = ids.clone()
        labels[:, : -len(said)] = -100
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    return folder


class _Journal:
    def __init__(self) -> None:
        self.replies: list[dict[str, Any]] = []

    def emit(self, type_: str, **data: Any) -> None:
        self.replies.append(data)


@dataclass(frozen=True)
class LocalTeacher:
    """The model in a folder."""

    spec: TeacherSpec
    live: bool = True

    async def ask(self, request: Request) -> Reply:
        reply = self.tell(request)
        return Reply(reply["raw"], reply["raw"], Usage(**reply["usage"]), reply["finish_reason"], reply["latency_s"])

    def tell(self, request: Request) -> dict[str, Any]:
        """What the worker journals of one request."""
        item = {
            "sample_id": "s",
            "prompt_hash": "p",
            "draw": request.draw,
            "query": asdict(request.query),
            "system": request.system,
            "user": request.user,
        }
        with tempfile.TemporaryDirectory() as folder:
            job = LocalLabelJob(
                model=self.spec.model,
                task="custom",
                teacher=self.spec.name,
                purpose=request.purpose,
                file=write_lines(Path(folder) / "requests.jsonl", [json.loads(json.dumps(item))]),
                max_tokens=24,
                temperature=0,
                top_p=1,
                batch=1,
            )
            journal = _Journal()
            answer_locally(job, set(), journal, lambda: False)
        (reply,) = journal.replies
        return reply
