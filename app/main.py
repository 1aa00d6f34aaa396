"""The pages as one gradio app; nothing runs at import. For now one page: every run of the workspace with its report."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.console import kinds_lines, report_lines
from app.services import Services
from engine.types import ReportRow

_EMPTY = "No run yet. `tacit demo` makes one, or `tacit train PROJECT` on queries of your own."


def build_app(services: Services) -> gr.Blocks:
    """The app over an open workspace. Everything shown is read from the store when the page asks for it."""
    with gr.Blocks(title="Tacit") as app:
        gr.Markdown("# Tacit\nRuns of this workspace: accuracy on held-out queries with its 95% interval, and tokens.")
        chosen = gr.Dropdown(label="Run", choices=[], interactive=True)
        state = gr.Textbox(label="Where it stands", value="Reading the workspace.", interactive=False)
        steps = gr.Dataframe(label="Steps", interactive=False, wrap=True, visible=False)
        report = gr.Dataframe(label="Held-out queries", interactive=False, visible=False)
        kinds = gr.Dataframe(label="Accuracy by kind", interactive=False, visible=False)

        def list_runs() -> Any:
            runs = services.reading.runs()
            shown = ("project", "plan", "status")
            choices = [(" · ".join([*(run[name] for name in shown), run["run"][:8]]), run["run"]) for run in runs]
            told = "Reading the run." if choices else _EMPTY
            return gr.Dropdown(choices=choices, value=choices[0][1] if choices else None), told

        def show(run_id: str | None) -> tuple[Any, ...]:
            if not run_id:
                return _EMPTY, *(_as_table([]) for _ in range(3))
            data = services.reading.run(run_id)
            rows = [ReportRow(**row) for row in data["rows"]]
            ship = f"to ship: {data['ship']}" if data["ship"] else ""
            told = "; ".join(filter(None, [data["status"], data["message"], ship, *data["notes"]]))
            tables = (data["steps"], report_lines(rows), kinds_lines(rows))
            return told, *map(_as_table, tables)

        app.load(list_runs, outputs=[chosen, state], api_visibility="private")
        chosen.change(show, chosen, [state, steps, report, kinds], api_visibility="private")
    return app


def _as_table(rows: list[dict[str, Any]]) -> Any:
    """An update of a table; one without rows is not shown."""
    headers = list(rows[0]) if rows else []
    cells = [[str(row.get(name, "")) for name in headers] for row in rows]
    return gr.update(value={"headers": headers, "data": cells} if rows else None, visible=bool(rows))
