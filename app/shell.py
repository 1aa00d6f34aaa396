"""What the commands share: options, opening a workspace, printing for people or for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.services import Services

Workspace = Annotated[Path, typer.Option(envvar="TACIT_WORKSPACE", help="Folder that holds everything.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on standard output and nothing else there.")]
ProjectName = Annotated[str, typer.Argument(help="Name of the project.")]
RunId = Annotated[str, typer.Argument(help="Id of the run, or how it begins.")]
DEFAULT_WORKSPACE = Path("workspace")


@contextmanager
def open_workspace(workspace: Path) -> Iterator[Services]:
    """The services; Ctrl-C asks running jobs to checkpoint and end before it leaves."""
    from app.services import open_services

    with open_services(workspace) as services:
        try:
            yield services
        except KeyboardInterrupt:
            sys.stderr.write("stopping: the running job saves a checkpoint\n")
            services.jobs.end_all()
            raise


def show(as_json: bool, data: Any, draw: Callable[[], None]) -> None:
    """Print one JSON value, or draw the result in the terminal."""
    from app.console import print_json

    if as_json:
        print_json(data)
    else:
        draw()
