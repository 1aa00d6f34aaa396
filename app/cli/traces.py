"""The command that imports traces of a provider: `tacit import-traces`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, ProjectName, Workspace, open_workspace, show
from engine.errors import InputError

_PERSONAL = "What becomes of traces with personal data: keep, mask or drop. Asked for where any is found."


def import_traces(
    project: ProjectName,
    file: Annotated[
        list[Path],
        typer.Argument(help="JSONL, JSON or CSV, gzipped or not; of a batch its input file and its output file."),
    ],
    format: Annotated[str, typer.Option(help="One of {engine.traces:FORMATS}; by what the rows look like.")] = "",
    personal: Annotated[str | None, typer.Option(help=_PERSONAL)] = None,
    teacher: Annotated[str, typer.Option(help="Name of the teacher, where traces name no model.")] = "",
    label: Annotated[
        str, typer.Option(help="reply: the whole reply, where the task takes it; read: what the task reads out of it.")
    ] = "reply",
    system: Annotated[
        str, typer.Option(help="text: the system prompt stands before the query; apart: it is kept beside it, unseen.")
    ] = "text",
    heldout: Annotated[float, typer.Option(min=0, max=1, help="Share kept for scoring, by hash.")] = 0.0,
    task: Annotated[str | None, typer.Option(help="One of {engine.tasks:TASKS}; custom if left out.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Bring requests and replies that a provider or a tracing tool logged: queries, and a recorded teacher a model."""
    given = dict(locals())  # options have the names of the order's fields
    from app.cli.console import EventBars
    from app.cli.results import show_trace_import
    from app.usecases.data.traces import PersonalDataFound, describe
    from engine.config import read_config
    from engine.traces.settings import TraceOrder

    order = read_config(TraceOrder, {name: value for name, value in given.items() if name in TraceOrder.model_fields})
    asked = {"name": project} if task is None else {"name": project, "task": task}
    with open_workspace(workspace) as services, EventBars(quiet=as_json) as bars:
        try:
            imported = services.traces.import_into(asked, file, order)
        except PersonalDataFound as error:
            raise InputError(f"{error}: --personal keep, --personal mask or --personal drop.") from None
        if imported.job_id is not None:
            services.jobs.wait(imported.job_id, bars)
        reading = services.traces.read_back(project, imported)
    data = {**describe(imported), "replies": None if reading is None else vars(reading)}
    show(as_json, data, lambda: show_trace_import(project, imported, reading))
    if imported.queries.broke_off:
        raise typer.Exit(2)
