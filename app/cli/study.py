"""The command that compares plans: `tacit study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, Workspace, open_workspace, show

if TYPE_CHECKING:
    from engine.study import Grid


def study(
    grid: Annotated[Path, typer.Argument(help="A TOML file: what is compared, over which seeds.")],
    records: Annotated[
        Path | None, typer.Option(help="Folder of records, one file a run; studies/NAME of the workspace if left out.")
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Start nothing: the table of the records there are.")] = False,
    quote: Annotated[
        bool, typer.Option("--quote", help="Train nothing: measure each arm for a moment, and say what all would take.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the result to this file too, as one page.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Run plans over several seeds on one project, and say how they differ, with intervals over seeds and queries.

    A study goes on where it was cut off; records of other machines are taken in by putting them into the folder.
    """
    from dataclasses import asdict
    from datetime import date

    from app.cli.console import EventBars, err
    from app.cli.reports import write_html
    from app.cli.study_results import show_study
    from app.demo import prepare_study
    from app.usecases.training.study_files import read_given_records, read_grid_file
    from app.usecases.training.study_html import study_html
    from engine.study_table import summarise_study

    given = read_grid_file(grid)
    if quote:
        _quote(given, as_json, workspace)
        return
    if table and records is not None:
        result = summarise_study(given, read_given_records(records))
    else:
        with open_workspace(workspace) as services, EventBars(quiet=as_json) as bars:
            folder = records or services.study.folder(given)
            if table:
                result = summarise_study(given, read_given_records(folder))
            else:

                def tell(text: str) -> None:
                    err.print(text, markup=False)

                prepare_study(services, given, tell, bars)
                result = services.study.run(given, folder, tell, bars)
    show(as_json, asdict(result), lambda: show_study(given, result))
    if html is not None:
        write_html(html, study_html(given, result, date.today()), quiet=as_json)


def _quote(grid: Grid, as_json: bool, workspace: Path) -> None:
    """Say what a study would take."""
    from dataclasses import asdict

    from app.cli.console import EventBars, err
    from app.cli.study_results import show_study_quote
    from app.demo import prepare_study

    def tell(text: str) -> None:
        err.print(text, markup=False)

    with open_workspace(workspace) as services, EventBars(quiet=as_json) as bars:
        prepare_study(services, grid, tell, bars)
        quoted = services.study_quote.quote(grid, tell)
    data = asdict(quoted) | {"seconds": quoted.seconds, "cost": quoted.cost}
    show(as_json, data, lambda: show_study_quote(quoted))
