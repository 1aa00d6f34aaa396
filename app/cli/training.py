"""The commands that train students and score them: `tacit train`, `tacit evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, ProjectName, RunId, Workspace, open_workspace, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.services import Services
    from engine.plans import Plan
    from storage.runs import Run

_SELECTION = "Train on a selection of its own, by one of {engine.selection.settings:PRESETS}, not on the newest."

_SECOND_DRAW = (
    "Draw students' answers a second time at this temperature, as 0.7, so that `tacit policy` can go by whether both "
    "agree; it takes about the tokens and the time of the first ones."
)


def train(
    project: ProjectName,
    plan: Annotated[str, typer.Option(help="One of {engine.plans:PLANS}.")] = "twt+standard-kd",
    preset: Annotated[str, typer.Option(help="One of {engine.plans.order:TRAIN_PRESETS}.")] = "small-student",
    student: Annotated[str, typer.Option(help="packaged, or a model id or folder.")] = "packaged",
    compressor: Annotated[str | None, typer.Option(help="Live teacher that compresses for recorded ones.")] = None,
    compress_by: Annotated[str, typer.Option(help="One of {engine.compression:COMPRESSORS}.")] = "teacher-guided",
    selection: Annotated[str | None, typer.Option(help=_SELECTION)] = None,
    stages: Annotated[str, typer.Option(help="EPOCHS or EPOCHS@RATE of the three stages: 2,1,4@5e-4.")] = "",
    review: Annotated[bool, typer.Option(help="Wait for a person after compression (`tacit compress`).")] = False,
    check_level: Annotated[int, typer.Option(min=1, max=2, help="2 asks a teacher whether the answer follows.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Of the adapter and the order of rows.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the preset's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Rows that are longer are left out and counted.")] = None,
    loss: Annotated[str | None, typer.Option(help="One of {engine.losses:LOSSES}; the first if left out.")] = None,
    four_bit: Annotated[bool, typer.Option("--four-bit", help="Hold the base in 4 bits to train (QLoRA).")] = False,
    compress_cap: Annotated[str | None, typer.Option(help="US dollars that compressing may cost.")] = None,
    backend: Annotated[str, typer.Option(help="Where it trains: one of {engine.jobs.backends:BACKENDS}.")] = "local",
    name: Annotated[str, typer.Option(help="What the run is called; its number in the project if left out.")] = "",
    note: Annotated[str, typer.Option(help="What to remember of it.")] = "",
    forecast: Annotated[bool, typer.Option("--forecast", help="Measure time and memory; start nothing.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Run a plan on the newest selection: train the stages, compress between them, evaluate each."""
    given = dict(locals())  # options have the names of the order's fields
    from app.cli.console import EventBars
    from app.cli.results import show_forecast, show_run
    from app.usecases.labelling.label import read_money
    from engine.config import read_config
    from engine.plans.order import PlanOrder

    asked = {name: value for name, value in given.items() if name in PlanOrder.model_fields}
    asked["compress_cap"] = read_money(compress_cap)
    with open_workspace(workspace) as services, EventBars(as_json, services.teachers.go_on_all) as bars:
        chosen = services.plan.make(project, read_config(PlanOrder, asked))
        _tell(chosen)
        if not forecast:
            data = services.reading.run(
                services.run.wait(services.run.start(project, chosen, False, name, note).id, bars).id
            )
        else:
            services.jobs.wait(services.forecast.ask(project, chosen).id, bars)
            measured = services.forecast.find(project, chosen)
    show(as_json, measured if forecast else data, lambda: show_forecast(measured) if forecast else show_run(data))


def _tell(plan: Plan) -> None:
    """What to know of a plan before it starts, beside the result."""
    from app.cli.console import err
    from app.usecases.training.plans import plan_notes

    for note in plan_notes(plan):
        err.print(note, markup=False)


def evaluate(
    run: RunId,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, help="Points that a shorter student may lie below the best, for all of a project."
        ),
    ] = None,
    device_hour: Annotated[
        float, typer.Option(min=0, max=1e6, help="Device price in US dollars an hour; assumed where you give none.")
    ] = 0.10,
    second_draw: Annotated[float | None, typer.Option(min=0.01, max=2, help=_SECOND_DRAW)] = None,
    of: Annotated[
        list[str] | None, typer.Option(help="Whose answers are drawn again; those that a ladder asks if left out.")
    ] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Score a run's answers anew against the gold labels; print its table, what to ship, and when that pays back.

    The table's measures: {engine.evaluation.measures:MEASURES}.
    """
    from app.cli.results import show_bill, show_run
    from engine.errors import InputError

    if of and second_draw is None:
        raise InputError("--of belongs to --second-draw, which is not given")
    with open_workspace(workspace) as services:
        run_record = services.reading.find_run(run)
        if second_draw is not None:
            _draw_again(services, run_record, of or (), second_draw, as_json)
        services.run.score(run_record.id)
        if margin is not None:
            project = services.projects.get(run_record.project_id)
            services.compare.set_margin(project.name, margin / 100)
        data = services.reading.run(run) | {"bill": services.compare.bill(run_record, device_hour)}

    def draw() -> None:
        show_run(data)
        show_bill(data["bill"])

    show(as_json, data, draw)


def _draw_again(services: Services, run: Run, students: Sequence[str], temperature: float, as_json: bool) -> None:
    """Have answers drawn a second time, and wait for it; what that takes is said first."""
    from app.cli.console import EventBars, err
    from app.usecases.serving.draws import say_quote

    err.print(say_quote(services.draws.quote(run, students, temperature)), markup=False)
    with EventBars(as_json, services.teachers.go_on_all) as bars:
        services.jobs.wait(services.draws.order(run, students, temperature).id, bars)
