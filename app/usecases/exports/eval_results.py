"""A student's score as the Hub reads it from a model's repository: `.eval_results/NAME.yaml`.

https://huggingface.co/docs/hub/eval-results describes it, and
https://github.com/huggingface/hub-docs/blob/main/eval_results.yaml is its specification.
"""

from __future__ import annotations

import re

import yaml

from app.usecases.evaluation.scores import ACCURACY
from app.usecases.exports.checks import find_read_back, say_read_back
from app.usecases.workspace.context import Context
from engine.values.report import WHOLE
from storage.runs import Run

FOLDER = ".eval_results"
OWNER = "OWNER"
"""Stands in the dataset's id where nobody said who owns it."""


def write_eval_results(context: Context, run: Run, step: str, exporter: str, repository: str = "") -> dict[str, str]:
    """The file by its name; none where there is no accuracy, or what is exported no longer answers as what was scored.

    `repository` is the model's on the Hub, as OWNER/NAME. The dataset is taken to lie beside it.
    """
    scored = next((one for one in run.plan.evaluated if one.start == step), None)
    rows = [row for row in context.reports.rows(run.id) if scored is not None and row.name == scored.system]
    row = next((row for row in rows if row.kind == WHOLE and row.measure == ACCURACY), None)
    read_back = find_read_back(context, run, step, exporter)
    if row is None or (read_back is not None and read_back.changed):
        return {}
    project = context.projects.get(run.project_id)
    name = re.sub(r"[^a-z0-9]+", "-", project.name.lower()).strip("-") or "project"
    entry = {
        "dataset": {"id": f"{repository.partition('/')[0] or OWNER}/{name}-heldout", "task_id": "default"},
        "value": round(row.accuracy, 4),
        **({"date": run.created_at.date().isoformat()} if run.created_at else {}),
        **({"source": {"url": f"https://huggingface.co/{repository}", "name": "Model card"}} if repository else {}),
        "notes": (
            f"accuracy on {row.n} held-out queries, 95% interval {row.ci_low:.4f} to {row.ci_high:.4f}, greedy, "
            f"by Tacit; the exported file: {say_read_back(read_back)}"
        ),
    }
    head = (
        "# dataset.id names the dataset on the Hub that holds the held-out queries (`tacit export --as lm-eval`\n"
        "# writes them): put yours there. The Hub lists scores of datasets that are registered as benchmarks.\n"
    )
    return {f"{FOLDER}/{name}.yaml": head + yaml.safe_dump([entry], sort_keys=False, allow_unicode=True)}
