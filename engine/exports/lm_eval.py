"""The held-out queries as a task of lm-evaluation-harness: a YAML file, the queries beside it, and how to run it.

https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/task_guide.md names the fields. The harness is not
imported. What its regex filter and its exact match make of an answer is done here as it documents them, so that the
export can say on how many recorded answers they agree with the verdicts that are stored.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from engine.errors import MissingPart, StateError
from engine.exports.base import EXPORTERS, Exporter, Outgoing, Rows, Scope, ScoredAnswers
from engine.lines import read_lines, write_lines
from engine.tasks.base import ANSWER

_INVALID = "[invalid]"
_MARK = re.escape(ANSWER.strip())
_LAST_LINE = _MARK + r"[ \t]*(\S[^\n]*)"
_BARE = rf"\A(?![\s\S]*{_MARK})" + r"\s*(\S+(?:[ \t]+\S+){0,4})\s*\Z"
_IGNORED = (r"^\s+|[\s.]+$", r"(?<=\d),(?=\d{3}(?!\d))")
"""Left out before labels are compared: white space around, final full stops, commas within numbers."""


def make_task(scored: ScoredAnswers) -> dict[str, Any]:
    """The YAML's content: asks greedily, takes the label of the last answer line, compares it whatever its case."""
    return {
        "task": scored.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{scored.name}.jsonl"}},
        "test_split": "test",
        "output_type": "generate_until",
        "description": "{{system}}",
        "doc_to_text": "{{user}}",
        "doc_to_target": "{{target}}",
        "num_fewshot": 0,
        "generation_kwargs": {
            "until": [],
            "do_sample": False,
            "temperature": 0.0,
            "max_gen_toks": scored.asking.max_tokens,
        },
        "filter_list": [
            {
                "name": "label",
                "filter": [
                    {"function": "regex", "regex_pattern": f"{_LAST_LINE}|{_BARE}", "group_select": -1},
                    {"function": "take_first"},
                ],
            }
        ],
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "regexes_to_ignore": list(_IGNORED),
            }
        ],
        "metadata": {"version": 1.0},
    }


def judge_as_harness(task: Mapping[str, Any], answers: Sequence[str], targets: Sequence[str]) -> list[bool]:
    """Whether each answer is right by a task's own regex filter and exact match, as the harness documents them."""
    (chain,) = task["filter_list"]
    taken = [_filter(chain["filter"][0], answer) for answer in answers]
    metric = task["metric_list"][0]
    return [_strip(metric, one) == _strip(metric, other) for one, other in zip(taken, targets, strict=True)]


def _filter(regex: Mapping[str, Any], answer: str) -> str:
    """The match that is selected; of several groups the first that holds anything."""
    matches = re.findall(regex["regex_pattern"], answer)
    if not matches:
        return _INVALID
    match = matches[regex["group_select"]]
    return str(next(filter(None, match), _INVALID) if isinstance(match, tuple) else match).strip()


def _strip(metric: Mapping[str, Any], text: str) -> str:
    for ignored in metric["regexes_to_ignore"]:
        text = re.sub(ignored, "", text)
    return text.lower() if metric["ignore_case"] else text


def write_task(given: Outgoing, to: Path) -> None:
    """Write the folder, all of it or nothing.

    Raises:
        StateError: if there are no scored answers.
    """
    scored = given.scored
    if scored is None or not scored.items:
        raise StateError("there are no scored answers to make a harness task of")
    part = to.with_name(f"{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    task = make_task(scored)
    write_lines(part / f"{scored.name}.jsonl", list_rows(scored))
    (part / f"{scored.name}.yaml").write_text(yaml.safe_dump(task, sort_keys=False, allow_unicode=True), "utf-8")
    (part / "README.md").write_text(_say_how(scored, task), "utf-8")
    part.rename(to)


def list_rows(scored: ScoredAnswers) -> list[dict[str, Any]]:
    """The queries as the task's rows: id, kind, system, user, target."""
    return [
        {
            "id": item.id,
            "kind": item.kind,
            "system": "\n\n".join(text for role, text in item.prompt if role == "system"),
            "user": "\n\n".join(text for role, text in item.prompt if role != "system"),
            "target": item.gold,
        }
        for item in scored.items
    ]


def _say_how(scored: ScoredAnswers, task: Mapping[str, Any]) -> str:
    items = scored.items
    judged = judge_as_harness(task, [item.answer for item in items], [item.gold for item in items])
    differ = [item.id for item, right in zip(items, judged, strict=True) if right != item.correct]
    ours, theirs = (sum(verdicts) / len(items) for verdicts in ([item.correct for item in items], judged))
    agreed = (
        f"On the {len(items):,} answers of {scored.model} that are recorded, this filter and metric give the verdict "
        f"that Tacit gave on {len(items) - len(differ):,}: their mean is {theirs:.4f}, Tacit's {ours:.4f}."
    )
    differing = (
        f"\n\nThey differ on: {', '.join(differ)}. Tacit's task reads or compares labels in more ways.\n"
        if differ
        else "\n"
    )
    return (
        f"# {scored.name}\n\nA task for lm-evaluation-harness. In this folder, `model` being the exported student:\n\n"
        "```sh\n"
        f"lm_eval --model hf --model_args pretrained=model --tasks {scored.name} --include_path . \\\n"
        "  --apply_chat_template --num_fewshot 0\n"
        "```\n\n"
        "For an adapter give `pretrained=BASE,peft=model`. Without `--apply_chat_template` the student is not asked as "
        f"it was trained, unless its base model has no chat template.\n\n{agreed}{differing}"
    )


def read_task(folder: Path) -> Rows:
    """The rows of such a folder.

    Raises:
        MissingPart: if there are none.
    """
    file = next(iter(sorted(folder.glob("*.jsonl"))), None)
    if file is None:
        raise MissingPart(f"there is no task in {folder}")
    return read_lines(file)


EXPORTERS.add(
    "lm-eval",
    Exporter(
        "task for lm-evaluation-harness",
        "The held-out queries with their labels, as YAML and JSONL.",
        Scope.ITEMS,
        write_task,
        read_task,
    ),
)
