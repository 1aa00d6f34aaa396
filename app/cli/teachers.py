"""The commands about teachers and money: `tacit teachers`, `tacit label`, `tacit grade`, `tacit spend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, ProjectName, Workspace, open_workspace, read_text, say, show, warn
from engine.errors import InputError, WorkerFailed

if TYPE_CHECKING:
    from app.cli.console import EventBars
    from app.services import Services
    from app.usecases.labelling.label import LabelOrder

teachers_app = typer.Typer(help="List, add, test and remove the teachers of a project.", no_args_is_help=True)
_PILOT_HELP = (
    "Ask at most 50 queries, for at most $1 where all prices are known and no other cap is given, and say whether to "
    "go on: go, not yet or no. With --quote it asks nobody and judges what is stored."
)
TeacherName = Annotated[str, typer.Argument(help="Name of the teacher.")]


@teachers_app.command("list")
def list_teachers(project: ProjectName, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """List a project's teachers with their prices and what probing found."""
    from app.cli.results import show_teachers

    with open_workspace(workspace) as services:
        rows = services.teachers.list_all(project)
    show(as_json, rows, lambda: show_teachers(rows))


@teachers_app.command("add")
def add_teacher(
    project: ProjectName,
    name: TeacherName,
    provider: Annotated[
        str, typer.Option(help="openai (or any server that speaks its protocol), mistral or scripted.")
    ],
    model: Annotated[str, typer.Option(help="Name of the model at the provider.")],
    endpoint: Annotated[
        str, typer.Option(help="Base URL, as http://127.0.0.1:8000/v1; empty: the provider's own.")
    ] = "",
    key_variable: Annotated[
        str | None, typer.Option(help="Environment variable that holds the key; ends in _API_KEY or _TOKEN.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2)] = 0.0,
    top_p: Annotated[float, typer.Option(min=0, max=1)] = 0.95,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one reply.")] = 2048,
    concurrency: Annotated[int, typer.Option(min=1, help="Most requests in flight.")] = 8,
    draws: Annotated[int, typer.Option(min=1, help="Samples a query, for projects with few teachers.")] = 1,
    requests_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1)] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Seconds that one reply may take.")] = 120.0,
    input_price: Annotated[float | None, typer.Option(min=0, help="US dollars a million input tokens.")] = None,
    output_price: Annotated[float | None, typer.Option(min=0, help="US dollars a million output tokens.")] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Add a teacher to a project, or change the one of that name. Keys stay in the environment."""
    values: dict[str, Any] = {k: v for k, v in locals().items() if k not in ("project", "workspace")}
    with open_workspace(workspace) as services:
        spec = services.teachers.add(project, values)
        row = next(row for row in services.teachers.list_all(project) if row["name"] == spec.name)
    price = row["price"]
    price_text = (
        f"${price['input']:g} in, ${price['output']:g} out a million tokens ({price['source']})" if price else "unknown"
    )
    say(f"{spec.name}: {spec.provider} {spec.model}; price {price_text}")


@teachers_app.command("remove")
def remove_teacher(project: ProjectName, name: TeacherName, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Take a teacher off a project; its samples and its ledger stay."""
    with open_workspace(workspace) as services:
        services.teachers.remove(project, name)
    say(f"{name} is no teacher of {project} any more; its samples stay")


@teachers_app.command("prompt")
def prompt(
    project: ProjectName,
    save: Annotated[Path | None, typer.Option(help="File with the text of a new version, UTF-8.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Print this version, not the newest.")] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Print what a project's teachers are asked with, or save a new version of it."""
    text = None if save is None else read_text(save)
    with open_workspace(workspace) as services:
        if text is not None:
            say(f"version {services.prompt.save(project, text)} is what teachers are asked with from now on")
            return
        versions = services.prompt.versions(project)
    number = max(versions) if version is None else version
    if number not in versions:
        raise InputError(f"there is no version {number} of the prompt; there are {', '.join(map(str, versions))}")
    say(versions[number])


@teachers_app.command("test")
def test_teacher(
    project: ProjectName, name: TeacherName, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE
) -> None:
    """Test a teacher's connection in at most four small requests, and keep what it supports."""
    from app.cli.console import EventBars
    from app.cli.results import show_teachers

    with open_workspace(workspace) as services, EventBars(quiet=as_json) as bars:
        services.jobs.wait(services.teachers.test(project, name).id, bars)
        row = next(row for row in services.teachers.list_all(project) if row["name"] == name)
    show(as_json, row, lambda: show_teachers([row]))


@teachers_app.command("models")
def list_models(
    project: ProjectName, name: TeacherName, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE
) -> None:
    """List the models that a teacher's endpoint offers."""
    from app.cli.results import show_names

    with open_workspace(workspace) as services:
        names = services.teachers.models(project, name)
    show(as_json, names, lambda: show_names(names))


def label(
    project: ProjectName,
    teacher: Annotated[list[str] | None, typer.Option(help="Ask only these teachers.")] = None,
    heldout: Annotated[bool, typer.Option(help="Also ask the held-out queries, for comparison only.")] = False,
    scripted: Annotated[bool, typer.Option(help="Add the three shipped teachers of the generated puzzles.")] = False,
    quote: Annotated[bool, typer.Option(help="Only say what it would ask and cost.")] = False,
    pilot: Annotated[bool, typer.Option(help=_PILOT_HELP)] = False,
    max_cost: Annotated[str | None, typer.Option(help="Hard cap in US dollars.")] = None,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Hard cap on requests.")] = None,
    retry: Annotated[list[str] | None, typer.Option(help="Ask only what failed: a kind of error, or all.")] = None,
    engine: Annotated[
        str, typer.Option(help="process; batch: half the price, within a day; ray: a cluster.")
    ] = "process",
    parse_again: Annotated[bool, typer.Option(help="Ask nobody: read the unread replies again.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Let the live teachers answer every query that has no sample yet."""
    from app.cli.console import EventBars
    from app.cli.results import show_label, show_parsed_again, show_quote
    from app.usecases.labelling.label import LabelOrder, read_engine, read_money
    from engine.values import Split

    splits = (Split.DISTILL, Split.HELDOUT) if heldout else (Split.DISTILL,)
    order = LabelOrder(
        teacher or (), splits, read_money(max_cost), max_requests, retry or (), None, read_engine(engine)
    )
    with open_workspace(workspace) as services, EventBars(as_json, services.teachers.go_on_all) as bars:
        project_record = services.projects.get(project)
        if scripted:
            services.label.add_scripted_teachers(project_record.id)
        if parse_again:
            reread_counts = services.label.parse_again(project)
            show(as_json, reread_counts, lambda: show_parsed_again(reread_counts))
            return
        if pilot:
            _run_pilot(services, (project, order), quote, as_json, bars)
            return
        stopped = [] if quote else _ask(services, project, order, bars)
        quotes = services.quote.quote(project, _rest(order)) if quote else []
        counts, failures = services.answers.counts(project_record), services.answers.failures(project_record)
        spent = services.quote.spend(project)
    if quote:
        show(as_json, quotes, lambda: show_quote(quotes))
        return
    data = {"samples": counts, "failures": failures, "cost_usd": spent["cost_usd"], "quote": quotes}
    show(as_json, data, lambda: show_label(data))
    _say_stopped(stopped)


def _say_stopped(stopped: list[str]) -> None:
    if stopped:
        raise WorkerFailed("\n".join([*stopped, "What came in is kept; mend that and label again for the rest."]))


def _rest(order: LabelOrder) -> LabelOrder:
    """What is left of an order, without caps."""
    from app.usecases.labelling.label import LabelOrder

    return LabelOrder(order.teachers, order.splits, engine=order.engine)


def _run_pilot(
    services: Services, asked: tuple[str, LabelOrder], judge_only: bool, as_json: bool, bars: EventBars
) -> None:
    """Ask few queries, where somebody can be asked; then say what they came to, and quote the rest."""
    from app.cli.results import show_pilot
    from app.usecases.labelling.pilot_lines import pilot_dict

    project, order = asked
    live, stopped, failed = services.pilot.can_ask(project), [], ""
    if live and not judge_only:
        try:
            stopped = _ask(services, project, services.pilot.order(project, order), bars)
        except WorkerFailed as error:  # what came in is judged all the same
            failed = str(error)
    services.pilot.settle(project, bars)
    pilot = services.pilot.look(project, run=True)
    quotes = services.quote.quote(project, _rest(order)) if live else []
    counts = services.answers.counts(services.projects.get(project))
    data = {"samples": counts, "pilot": pilot and pilot_dict(pilot), "quote": quotes}
    show(as_json, data, lambda: show_pilot(pilot, quotes))
    if failed and (pilot is None or "cap" not in pilot.ended):
        raise WorkerFailed(failed)
    _say_stopped(stopped)


def _ask(services: Services, project: str, order: LabelOrder, bars: EventBars) -> list[str]:
    """Label and wait; gives the teachers that were given up, each with the reason."""
    job = services.jobs.wait(services.label.start(project, order).id, bars)
    if job.message:
        warn(job.message)
    return services.label.stopped(job.id)


def grade(
    project: ProjectName,
    teacher: Annotated[list[str] | None, typer.Option(help="Ask only these teachers.")] = None,
    quote: Annotated[bool, typer.Option(help="Only say what it would ask and cost.")] = False,
    max_cost: Annotated[str | None, typer.Option(help="Hard cap in US dollars.")] = None,
    max_requests: Annotated[int | None, typer.Option(min=1, help="Hard cap on requests.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Let teachers grade their own answers Good, Medium or Poor, for `tacit select --preset hard-rejection`."""
    from app.cli.console import EventBars
    from app.cli.results import show_grades, show_quote
    from app.usecases.labelling.grades import GradeOrder
    from app.usecases.labelling.label import read_money

    order = GradeOrder(teacher or (), read_money(max_cost), max_requests)
    with open_workspace(workspace) as services, EventBars(as_json, services.teachers.go_on_all) as bars:
        if quote:
            quotes = services.grade.quote(project, order)
            show(as_json, quotes, lambda: show_quote(quotes))
            return
        job = services.jobs.wait(services.grade.start(project, order).id, bars)
        if job.message:
            warn(job.message)
        stopped = services.label.stopped(job.id)
        grades = services.grade.standing(services.projects.get(project))
        spent = services.quote.spend(project)
    data = {"grades": grades, "cost_usd": spent["cost_usd"]}
    show(as_json, data, lambda: show_grades(data))
    if stopped:
        raise WorkerFailed("\n".join([*stopped, "What came in is kept; mend that and grade again for the rest."]))


def spend(project: ProjectName, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Show the ledger: requests, tokens and money by teacher, purpose and job."""
    from app.cli.results import show_spend

    with open_workspace(workspace) as services:
        data = services.quote.spend(project)
    show(as_json, data, lambda: show_spend(data))
