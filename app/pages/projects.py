"""Projects: what there is, and a new one."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.pages.frame import Frame, guard
from app.services import Services
from app.view import Link, table_html
from engine.config import ProjectConfig, read_config
from storage.projects import Project

_GO = "(name) => { window.location.href = '/data?project=' + encodeURIComponent(name); }"
_TASKS = [
    ("multiple choice", "choice"),
    ("math: a number or an expression", "math"),
    ("free text, compared as it is", "custom"),
    ("free text, by a regular expression", "custom-regex"),
]


def build(frame: Frame) -> None:
    """Lay the page out and bind its handlers."""
    services = frame.services
    gr.Markdown("## Projects\nA project holds queries, teachers, what they answered, and the students made from it.")
    listed = gr.HTML(padding=False)
    frame.fill([listed], lambda project: _list(services, project))
    with gr.Group():
        name = gr.Textbox(label="Name of a new project", max_length=100, placeholder="support tickets")
        with gr.Row():
            task = gr.Dropdown(_TASKS, value="choice", label="What an answer is")
            embedder = gr.Dropdown(
                [("as this machine can", "auto"), ("packaged (all-MiniLM-L6-v2)", "packaged")],
                value="auto",
                label="Embedder of rationales",
            )
        create = gr.Button("Create the project", variant="primary")

    def make(name: str, task: str, embedder: str) -> str:
        config = read_config(ProjectConfig, {"name": name.strip(), "task": task, "embedder": embedder})
        return services.data.create_project(config).name

    made = gr.Textbox(visible=False)
    create.click(guard(make), [name, task, embedder], made, **frame.quiet).success(
        None, made, None, js=_GO, **frame.quiet
    )


def _list(services: Services, project: Project | None) -> str:
    rows: list[dict[str, Any]] = [
        {
            "project": Link(row["name"], "/data", row["name"]),
            "task": row["task"],
            "queries": row["queries"],
            "samples": row["samples"],
            "spent": f"${row['cost']:.2f}",
            "runs": row["runs"],
        }
        for row in services.standing.overview()
    ]
    return table_html(rows, empty="No project yet. Make one below, or run `tacit demo` for one that is finished.")
