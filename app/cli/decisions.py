"""The commands of decisions by hand: `tacit decide keep`, `drop`, `swap`, `edit` and `undo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.cli.options import DEFAULT_WORKSPACE, ListingCommand, ProjectName, Workspace, open_workspace, read_text, say
from engine.errors import InputError, NotFound

if TYPE_CHECKING:
    from app.services import Services

decide_app = typer.Typer(
    help="Keep, drop, swap and edit samples by hand, over what a selection said.", no_args_is_help=True
)
_FILTER = "Only samples of queries under this filter: one of {app.usecases.selection.queries:FILTERS}."
Samples = Annotated[list[str] | None, typer.Argument(help="Ids of samples; left out: all that the options find.")]
Sample = Annotated[str, typer.Argument(help="Id of the sample.")]
Search = Annotated[str, typer.Option(help="Only samples of queries with these words.")]
Filter = Annotated[str, typer.Option("--filter", help=_FILTER)]
Teacher = Annotated[str | None, typer.Option(help="Only samples of this teacher.")]


@decide_app.command("keep", cls=ListingCommand)
def keep(
    project: ProjectName,
    samples: Samples = None,
    search: Search = "",
    which: Filter = "",
    teacher: Teacher = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Keep samples, whatever the selection said; one `undo` takes all of them back."""
    with open_workspace(workspace) as services:
        _overrule(services, project, _find(services, project, samples, (search, which, teacher)), "keep")


@decide_app.command("drop", cls=ListingCommand)
def drop(
    project: ProjectName,
    samples: Samples = None,
    search: Search = "",
    which: Filter = "",
    teacher: Teacher = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Drop samples, whatever the selection said; one `undo` takes all of them back."""
    with open_workspace(workspace) as services:
        _overrule(services, project, _find(services, project, samples, (search, which, teacher)), "drop")


def _find(services: Services, project: str, samples: list[str] | None, asked: tuple[str, str, str | None]) -> list[str]:
    """The samples that are named, else those that the options find.

    Raises:
        NotFound: if the project has no sample of an id.
        InputError: if neither samples nor options are given, or both, or there is no such filter.
    """
    from app.usecases.selection.queries import FILTERS

    search, which, teacher = asked
    if samples:
        if any(asked):
            raise InputError("give ids of samples or options that find them, not both; nothing was decided")
        for sample_id in samples:
            _query_of(services, project, sample_id)
        return samples
    if not any(asked):
        raise InputError("name samples by their ids, or find them by --search, --filter or --teacher")
    if which and which not in FILTERS:
        raise InputError(f"there is no filter {which}; there are {', '.join(FILTERS)}")
    return services.browse.matching(project, search, which, teacher)


def _query_of(services: Services, project: str, sample_id: str) -> str:
    """The id of the query that a sample answers.

    Raises:
        NotFound: if the project has no such sample.
    """
    try:
        return services.browse.query_of(project, sample_id)[0]
    except NotFound:
        raise NotFound(f"{project} has no sample {sample_id}; nothing was decided") from None


def _overrule(services: Services, project: str, samples: list[str], action: Literal["keep", "drop"]) -> None:
    from engine.wording import counted

    services.select.overrule(project, samples, action)
    say(f"{'kept' if action == 'keep' else 'dropped'} {counted(len(samples), 'sample')} by hand")


@decide_app.command("swap")
def swap(
    project: ProjectName,
    sample: Sample,
    instead_of: Annotated[str, typer.Argument(help="Id of the kept sample whose place it takes.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Keep a sample in the place of another one of the same query."""
    with open_workspace(workspace) as services:
        if _query_of(services, project, sample) != _query_of(services, project, instead_of):
            raise InputError("the two samples answer different queries; nothing was decided")
        services.select.swap(project, sample, instead_of)
    say(f"kept {sample} in the place of {instead_of}")


@decide_app.command("edit")
def edit(
    project: ProjectName,
    sample: Sample,
    text: Annotated[Path, typer.Argument(help="File that holds the rationale of your own, UTF-8.")],
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Teach a rationale of your own in the place of the teacher's, which stays; it chooses no other pair."""
    written = read_text(text)
    with open_workspace(workspace) as services:
        query_id = _query_of(services, project, sample)
        row = next(row for row in services.browse.detail(project, query_id).samples if row["id"] == sample)
        number = services.select.edit(project, sample, written, int(row["edit"]))
    say(f"edit {number} of {sample} is stored")


@decide_app.command("undo")
def undo(project: ProjectName, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Take the newest decision back, with all samples that it was about."""
    from engine.wording import counted

    with open_workspace(workspace) as services:
        undone = services.select.undo(project)
    if undone is None:
        say("nothing to undo")
    else:
        say(f"undone: {undone['action']} of {counted(len(undone['samples']), 'sample')}")
