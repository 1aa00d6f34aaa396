"""The commands that take results out: data, students, a server of one, the Hub."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, ProjectName, RunId, Workspace, open_workspace, say

Stage = Annotated[str, typer.Option(help="Train step, as stage3.")]
Check = Annotated[
    int,
    typer.Option(
        "--check",
        min=0,
        help="Held-out queries that an exported student answers again, to be compared with what was scored; 0: none.",
    ),
]
_SAMPLE = 50
"""As `engine.evaluation.readback.SAMPLE`, which is not imported for the help alone."""


def export(
    project: ProjectName,
    to: Annotated[Path, typer.Argument(help="File .jsonl or .parquet for the set, or a folder for a student.")],
    run: Annotated[str | None, typer.Option(help="Run whose stage is exported.")] = None,
    stage: Annotated[str | None, typer.Option(help="Train step whose student, or answers, are exported.")] = None,
    dataset: Annotated[str | None, typer.Option(help="The rows a stage trains on: {engine.datasets:DATASETS}.")] = None,
    form: Annotated[str, typer.Option("--as", help="One of {engine.exports:EXPORTERS}; TO's ending if left out.")] = "",
    check: Check = _SAMPLE,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write the distillation set, the rows of a stage, its student with its card, or its answers for a harness."""
    from app.usecases.exports.exports import ExportOrder

    with open_workspace(workspace) as services:
        message = services.export.write(project, to, ExportOrder(run, stage, dataset, form, check))
    say(f"{message}")


def serve_student(
    run: RunId,
    stage: Stage,
    host: Annotated[
        str, typer.Option(help="Any other than this machine's own is open to whoever reaches it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Serve a stage's student with an OpenAI-compatible API, by `transformers serve`; merges it first."""
    from app.usecases.exports.cards import system_prompt
    from engine.errors import MissingPart
    from engine.exports.merged import MERGED as SERVED

    server = Path(sys.executable).with_name("transformers")
    if not server.is_file():
        raise MissingPart("the command `transformers` is not beside this Python; `make install` installs it")
    with open_workspace(workspace) as services:
        run_record = services.reading.find_run(run)
        services.jobs.wait(services.export.prepare(run_record.id, stage, SERVED, 0).id)
        folder = services.export.prepared(run_record, stage, SERVED)
    say(f"model {folder}\nhttp://{host}:{port}/v1 (chat completions)")
    say(f"It was trained with this system message, so send it: {system_prompt()!r}")
    os.execv(server, [str(server), "serve", str(folder), "--host", host, "--port", str(port)])


def push(
    run: RunId,
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the Hub; the token is read from $HF_TOKEN.")],
    stage: Annotated[str, typer.Option(help="Train step, as stage3; the set has none.")] = "",
    what: Annotated[
        str,
        typer.Option(help="A student's export, as adapter or merged; its answers, as lm-eval or inspect; or set."),
    ] = "adapter",
    public: Annotated[bool, typer.Option("--public", help="Anybody may see it.")] = False,
    check: Check = _SAMPLE,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Push a stage's student, its scored answers, or the set it was taught with, to the Hub.

    Answers go with the held-out queries and their gold labels.
    """
    from app.usecases.exports.hub import PushOrder, is_student, read_what

    with open_workspace(workspace) as services:
        order = PushOrder(run, repository, read_what(what), stage, not public)
        run_record = services.publish.check(order)
        if is_student(order.what) and (check or not services.export.is_ready(run_record, stage, order.what)):
            services.jobs.wait(services.export.prepare(run_record.id, stage, order.what, check).id)
            say(f"{services.export.say_read_back(run_record, stage, order.what)}")
        job = services.publish.push(order)
        services.jobs.wait(job.id)
        pushed = services.publish.find_pushed(job.id)
    say(f"pushed: {pushed or repository}")


def backup(
    to: Annotated[Path, typer.Argument(help="File to write, as tacit.backup.zip.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write the whole workspace to one file, without keys."""
    with open_workspace(workspace) as services:
        path = services.keep.back_up(to)
    say(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")


def restore_backup(
    file: Annotated[Path, typer.Argument(help="A file that `tacit backup` wrote.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Unpack a backup into a new workspace folder."""
    from app.usecases.workspace.upkeep import restore_workspace

    restore_workspace(file, workspace)
    say(f"restored to {workspace}; `tacit serve --workspace {workspace}` opens it")
