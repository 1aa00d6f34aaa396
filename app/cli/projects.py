"""The commands about whole projects: `tacit projects`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, ProjectName, Workspace, open_workspace, say, show

projects_app = typer.Typer(help="List, duplicate, archive, export and import projects.", no_args_is_help=True)


@projects_app.command("list")
def list_projects(
    archived: Annotated[bool, typer.Option("--archived", help="Those that are archived.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """List the projects with what they hold and what they cost."""
    from app.cli.console import print_table

    with open_workspace(workspace) as services:
        rows = [{**row, "cost": float(row["cost"])} for row in services.standing.overview(archived)]
    show(as_json, rows, lambda: print_table("projects", rows))


@projects_app.command()
def duplicate(
    project: ProjectName,
    new_name: Annotated[str, typer.Argument(help="Name of the copy.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Make a project with the same queries, teachers, samples and decisions."""
    with open_workspace(workspace) as services:
        made = services.carry.duplicate(project, new_name)
    say(f"{made.name} is made; it has no runs and has cost nothing")


@projects_app.command()
def archive(project: ProjectName, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Take a project out of the list; nothing of it is lost."""
    with open_workspace(workspace) as services:
        services.carry.archive(project)
    say(f"{project} is archived; `tacit projects restore` brings it back")


@projects_app.command()
def restore(project: ProjectName, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Bring an archived project back."""
    with open_workspace(workspace) as services:
        services.carry.restore(project)
    say(f"{project} is back")


@projects_app.command()
def fresh(
    project: ProjectName,
    new_name: Annotated[str, typer.Argument(help="Name of the fresh project.")],
    queries: Annotated[int, typer.Option(min=1, help="To distill from, evenly out of all.")] = 48,
    heldout: Annotated[int, typer.Option(min=0, help="Held out, evenly out of all.")] = 24,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Make a project with some of another's queries and its teachers, nothing asked yet: to run it yourself."""
    with open_workspace(workspace) as services:
        made = services.carry.begin_afresh(project, new_name, queries, heldout)
    say(f"{made.name} is made; `tacit label {made.name!r} --heldout` is next")


@projects_app.command()
def purge(
    project: ProjectName,
    confirm: Annotated[str, typer.Option(help="The project's name again.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Remove a project for good: queries, samples, ledger, runs, adapters."""
    with open_workspace(workspace) as services:
        services.keep.purge(project, confirm)
    say(f"{project} is removed for good")


@projects_app.command("export")
def export_project(
    project: ProjectName,
    to: Annotated[Path, typer.Argument(help="File to write, as tickets.tacit.zip.")],
    with_runs: Annotated[bool, typer.Option("--with-runs", help="Runs, reports and adapters too.")] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write a project to one file: queries, labels, teachers, samples, ledger, decisions; never a key."""
    with open_workspace(workspace) as services:
        path = services.carry.export(project, to, with_runs)
    say(f"{project} is written to {path}")


@projects_app.command("import")
def import_project(
    file: Annotated[Path, typer.Argument(help="A file that `tacit projects export` wrote.")],
    name: Annotated[str, typer.Option(help="Another name than the project had.")] = "",
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Make a project from an exported file."""
    with open_workspace(workspace) as services:
        made = services.carry.bring(file, name)
    say(f"{made.name} is imported")
    if made.unkeyed:
        say(f"set the key environment variable again for {', '.join(made.unkeyed)}")
