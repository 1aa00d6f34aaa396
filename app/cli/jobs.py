"""The commands about jobs: `tacit jobs`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, Workspace, open_workspace, say, show

jobs_app = typer.Typer(help="List jobs; take in what a quarantined one journaled.", invoke_without_command=True)


@jobs_app.callback()
def jobs(context: typer.Context, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """List the newest jobs of all projects with what happened to them."""
    from app.cli.console import print_table

    if context.invoked_subcommand is not None:
        return
    with open_workspace(workspace) as services:
        rows = services.keep.jobs()
    brief = [
        {
            "job": row["id"][:8],
            "project": row["project"] or "(removed)",
            "kind": row["kind"],
            "status": row["status"],
            "what happened": row["message"],
        }
        for row in rows
    ]
    show(as_json, rows, lambda: print_table("jobs", brief))


@jobs_app.command()
def retry(
    job: Annotated[str, typer.Argument(help="Id of a quarantined job, or how it begins.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Take the journal of a quarantined job in again."""
    with open_workspace(workspace) as services:
        taken = services.keep.retry(job)
    say(f"its journal is taken in; the {taken.kind} job is {taken.status}. {taken.message}".strip())
