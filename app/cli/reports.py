"""The command that writes reports: `tacit report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, RunId, Workspace, open_workspace, say
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.costs import Price


def report(
    run: RunId,
    html: Annotated[
        Path, typer.Option("--html", help="File to write; it is read offline, and an old one is replaced.")
    ],
    device_hour: Annotated[
        float, typer.Option(min=0, max=1e6, help="Device price in US dollars an hour; assumed where you give none.")
    ] = 0.10,
    price: Annotated[
        list[str] | None,
        typer.Option(help="TEACHER=IN/OUT: US dollars a million tokens to assume for a teacher that bills nothing."),
    ] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write the report of a run as one HTML file: verdict, table, plot, scores by kind, and where it all comes from.

    Nothing is scored anew; `tacit evaluate` does that.
    """
    from app.usecases.evaluation.comparisons import Terms

    prices = dict(_read_pair(pair) for pair in price or [])
    with open_workspace(workspace) as services:
        text = services.report.html(services.reading.find_run(run), Terms(device_hour, prices))
    write_html(html, text)


def write_html(to: Path, text: str, quiet: bool = False) -> None:
    """Write a file whole, and say so unless `quiet`."""
    part = to.with_name(f"{to.name}.part")
    part.write_text(text, "utf-8")
    part.replace(to)
    if not quiet:
        say(f"report written to {to}")


def _read_pair(pair: str) -> tuple[str, Price]:
    from engine.costs import read_list_price

    teacher, separator, text = pair.partition("=")
    if not separator:
        raise InputError(f"--price {pair}: give TEACHER=IN/OUT, as forward=0.40/1.60")
    return teacher, read_list_price(text)
