"""What the commands share: options, opening a workspace, printing for people or for machines."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from engine.errors import InputError
from engine.foreign import plain

if TYPE_CHECKING:
    from app.services import Services

Workspace = Annotated[Path, typer.Option(envvar="TACIT_WORKSPACE", help="Folder that holds everything.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on standard output and nothing else there.")]
ProjectName = Annotated[str, typer.Argument(help="Name of the project.")]
RunId = Annotated[str, typer.Argument(help="Id of the run, or how it begins.")]
DEFAULT_WORKSPACE = Path("workspace")
_MOST_BYTES = 4_000_000
_REGISTRY = re.compile(r"\{([\w.]+):(\w+)\}")


class ListingCommand(TyperCommand):
    """A command whose help lists what there is at that moment: `{MODULE:REGISTRY}` becomes names and notes.

    Nothing is imported before somebody asks for this command's help.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help with the names filled in."""
        self.help = _REGISTRY.sub(_list_names, self.help or "") or None
        for param in self.params:
            if help_text := getattr(param, "help", None):
                vars(param)["help"] = _REGISTRY.sub(_list_names, help_text)
        super().format_help(ctx, formatter)


def _list_names(match: re.Match[str]) -> str:
    registry = getattr(import_module(match[1]), match[2])
    notes = {name: str(getattr(registry[name], "help", "")).rstrip(".") for name in registry}
    return ", ".join(f"{name} ({note})" if note else name for name, note in notes.items())


def say(line: str) -> None:
    """Write a line of a result on standard output at once, without what a terminal would obey."""
    sys.stdout.write(f"{plain(line)}\n")
    sys.stdout.flush()


def warn(line: str) -> None:
    """The same on standard error."""
    sys.stderr.write(f"{plain(line)}\n")


@contextmanager
def open_workspace(workspace: Path) -> Iterator[Services]:
    """The services; Ctrl-C asks running jobs to checkpoint and end before it leaves."""
    from app.services import open_services

    with open_services(workspace) as services:
        try:
            yield services
        except KeyboardInterrupt:
            warn("stopping: the running job saves a checkpoint")
            services.run.end_all()
            raise


def read_text(path: Path) -> str:
    """A small file of text, without the line break at its end.

    Raises:
        InputError: if it can't be read, is too large or not UTF-8.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: a text has at most {_MOST_BYTES:,} bytes")
        return path.read_text("utf-8").rstrip("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is not UTF-8; save it as such") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def show(as_json: bool, data: Any, draw: Callable[[], None]) -> None:
    """Print one JSON value, or draw the result in the terminal."""
    from app.cli.console import print_json

    if as_json:
        print_json(data)
    else:
        draw()
