"""The command that fits a ladder and writes it as a policy: `tacit policy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, RunId, Workspace, open_workspace, say, show
from engine.errors import InputError

if TYPE_CHECKING:
    from app.usecases.serving.savings import Saving


def policy(
    run: RunId,
    to: Annotated[
        Path | None, typer.Option(help="JSON file to write for `tacit gateway`; an old one is replaced.")
    ] = None,
    loss: Annotated[float, typer.Option(min=0, max=50, help="Points of 100 that may be lost against the last.")] = 2.0,
    sure: Annotated[float, typer.Option(min=50.1, max=99.9, help="With which probability, in percent.")] = 90.0,
    student: Annotated[
        list[str] | None, typer.Option(help="Who is asked, in this order; found by itself where you name none.")
    ] = None,
    teacher: Annotated[str, typer.Option(help="Who is asked last; the best teacher where you name none.")] = "",
    by: Annotated[str, typer.Option(help="Deferral rule: {engine.serving.deferral:DEFERRALS}.")] = "confidence",
    save: Annotated[str, typer.Option(help="What to save: tokens, dollars or seconds.")] = "tokens",
    device_hour: Annotated[
        float, typer.Option(min=0, max=1e6, help="Device price in US dollars an hour; assumed where you give none.")
    ] = 0.10,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Ask students first and a teacher last: what that saves at a loss that you allow, and whether it is certified.

    Works on answers that are stored already; nobody is asked.
    """
    from app.usecases.evaluation.comparisons import Terms
    from app.usecases.serving.saving_lines import saving_data
    from app.usecases.serving.savings import SaveOrder
    from engine.config import read_config
    from engine.serving.policy import write_policy

    if to is not None and to.is_dir():
        raise InputError(f"{to} is a folder; name a file, as policy.json")
    order = read_config(
        SaveOrder,
        {
            "students": student or [],
            "reference": teacher,
            "rule": by,
            "effort": save,
            "allowed": loss / 100,
            "sure": sure / 100,
        },
    )
    with open_workspace(workspace) as services:
        trained = services.reading.find_run(run)
        saving = services.save.read(trained, order, Terms(device_hour))
        if to is not None:
            write_policy(services.save.policy(trained, saving), to)
    show(as_json, saving_data(saving), lambda: _draw(saving))
    if to is not None and not as_json:
        say(f"policy written to {to}; `tacit gateway {to}` serves it")


def _draw(saving: Saving) -> None:
    from app.cli.console import out, print_table
    from app.usecases.serving.saving_lines import figures, rung_rows, say_certificate

    print_table("who answers", rung_rows(saving))
    rows = [{"what": figure.label, "": figure.value, "note": figure.note} for figure in figures(saving)]
    print_table("what it comes to", rows)
    certificate = say_certificate(saving)
    out.print(f"{certificate.title}. {certificate.text}", markup=False)
