"""A student's scored answers as a log of Inspect, which `inspect view` opens.

https://inspect.aisi.org.uk/eval-logs.html describes the format; this is its version 2, written without importing it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError, StateError
from engine.exports.base import EXPORTERS, Exporter, Item, Outgoing, Rows, Scope, ScoredAnswers
from engine.lines import write_atomically
from engine.values import hash_id

_SCORER = "label"
_RIGHT, _WRONG = "C", "I"


def make_log(scored: ScoredAnswers) -> dict[str, Any]:
    """The log: one sample a query, with what was asked, answered and scored."""
    items = scored.items
    greedy = {"temperature": 0.0, "max_tokens": scored.asking.max_tokens}
    metrics = ("accuracy", "stderr")
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": hash_id("eval", scored.name, scored.model, scored.at),
            "run_id": hash_id("eval-run", scored.name, scored.model, scored.at),
            "task_id": hash_id("eval-task", scored.name),
            "created": scored.at,
            "task": scored.name,
            "task_version": 0,
            "dataset": {"name": scored.name, "samples": len(items), "sample_ids": [item.id for item in items]},
            "model": scored.model,
            "model_generate_config": greedy,
            "config": {"epochs": 1},
            "scorers": [{"name": _SCORER, "metrics": [{"name": f"inspect_ai/{name}"} for name in metrics]}],
        },
        "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": greedy},
        "results": {
            "total_samples": len(items),
            "completed_samples": len(items),
            "scores": [
                {
                    "name": _SCORER,
                    "scorer": _SCORER,
                    "scored_samples": len(items),
                    "metrics": {
                        name: {"name": name, "value": value}
                        for name, value in zip(metrics, _measure(items), strict=True)
                    },
                }
            ],
        },
        "stats": {"started_at": scored.at, "completed_at": scored.at},
        "samples": [_make_sample(item, scored.model) for item in items],
    }


def _measure(items: tuple[Item, ...]) -> tuple[float, float]:
    """Accuracy, and its standard error as Inspect reckons it: from the sample's own variance, of n - 1."""
    n = len(items)
    mean = sum(item.correct for item in items) / n
    return mean, math.sqrt(mean * (1 - mean) / (n - 1)) if n > 1 else 0.0


def _make_sample(item: Item, model: str) -> dict[str, Any]:
    asked = [{"role": role, "content": text} for role, text in item.prompt]
    answer = {"role": "assistant", "content": item.answer, "source": "generate", "model": model}
    return {
        "id": item.id,
        "epoch": 1,
        "input": asked,
        "target": item.gold,
        "messages": [*asked, answer],
        "output": {
            "model": model,
            "choices": [{"message": answer, "stop_reason": "stop"}],
            "completion": item.answer,
            "time": item.seconds,
        },
        "scores": {
            _SCORER: {
                "value": _RIGHT if item.correct else _WRONG,
                "answer": item.label,
                "explanation": item.answer,
            }
        },
        "metadata": {"kind": item.kind, "output_tokens": item.tokens},
    }


def write_log(given: Outgoing, to: Path) -> None:
    """Write the log.

    Raises:
        StateError: if there are no scored answers.
    """
    if given.scored is None or not given.scored.items:
        raise StateError("there are no scored answers to write a log of")
    to.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(to, make_log(given.scored))


def read_log(path: Path) -> Rows:
    """The queries of a log with target, answer and verdict.

    Raises:
        InputError: if it is no such log.
    """
    try:
        log: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        return [
            {
                "id": sample["id"],
                "target": sample["target"],
                "answer": sample["output"]["completion"],
                "correct": sample["scores"][_SCORER]["value"] == _RIGHT,
            }
            for sample in log["samples"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is no log of Inspect with this scorer") from error


EXPORTERS.add(
    "inspect",
    Exporter(
        "Inspect log",
        "What the student was asked, answered and scored on each held-out query, for inspect view.",
        Scope.ITEMS,
        write_log,
        read_log,
        suffix=".json",
    ),
)
