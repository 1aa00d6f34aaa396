"""The command that asks students and teachers one query."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, ProjectName, Workspace, open_workspace, show

if TYPE_CHECKING:
    from app.usecases.playground.panes import Pane


def ask(
    project: ProjectName,
    query: Annotated[str, typer.Argument(help="The query, or one of the project's as its teachers read it.")],
    of: Annotated[
        list[str] | None,
        typer.Option(help="Who is asked, as stage3 or a teacher's name; again for others. The first four if left out."),
    ] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Ask students and teachers one query, side by side; teachers' answers stand on the ledger."""
    with open_workspace(workspace) as services:
        record = services.projects.get(project)
        asked = services.play.read_query(record, query)
        answers = services.play.ask(record, asked, services.play.named(record, of or ()))
        (panes,) = deque(answers, maxlen=1)
    show(as_json, panes, lambda: _print(panes))


def _print(panes: list[Pane]) -> None:
    from app.cli.console import out

    for pane in panes:
        facts = ", ".join(_facts(asdict(pane)))
        out.print(f"{pane.name} ({facts})" if facts else pane.name, style="bold")
        text = "\n".join(filter(None, (pane.text.strip(), pane.message)))
        out.print(f"{text}\n")


def _facts(pane: dict[str, Any]) -> list[str]:
    facts = [] if pane["tokens"] is None else [f"{pane['tokens']:,} tokens"]
    facts += [] if pane["seconds"] is None else [f"{pane['seconds']:.1f} s"]
    facts += [] if pane["cost"] is None else [f"${pane['cost']:.4f}"]
    return facts + ([] if pane["right"] is None else ["right" if pane["right"] else "wrong"])
