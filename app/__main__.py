"""The command line `tacit`. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer._click.exceptions import ClickException
from typer.exceptions import Abort

from engine.errors import InputError, MissingPart, StateError, StoreError, TacitError, WorkerFailed

if TYPE_CHECKING:
    from app.services import Services

EXIT_INPUT, EXIT_STATE, EXIT_WORKER, EXIT_MISSING, EXIT_INTERRUPTED = 2, 3, 4, 5, 130
_CODES: tuple[tuple[type[TacitError], int], ...] = (
    (InputError, EXIT_INPUT),
    (StateError, EXIT_STATE),
    (StoreError, EXIT_STATE),
    (WorkerFailed, EXIT_WORKER),
    (MissingPart, EXIT_MISSING),
    (TacitError, 1),
)

app = typer.Typer(
    help="Tacit: from several teachers' rationales to a small student that answers without reasoning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
runs_app = typer.Typer(help="List, show, resume and cancel runs.", invoke_without_command=True)
app.add_typer(runs_app, name="runs")

Workspace = Annotated[Path, typer.Option(envvar="TACIT_WORKSPACE", help="Folder that holds everything.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value on standard output and nothing else there.")]
ProjectName = Annotated[str, typer.Argument(help="Name of the project.")]
RunId = Annotated[str, typer.Argument(help="Id of the run, or how it begins.")]
DEFAULT_WORKSPACE = Path("workspace")


@contextmanager
def _open(workspace: Path) -> Iterator[Services]:
    """The services; Ctrl-C asks running jobs to checkpoint and end before it leaves."""
    from app.services import open_services

    with open_services(workspace) as services:
        try:
            yield services
        except KeyboardInterrupt:
            sys.stderr.write("stopping: the running job saves a checkpoint\n")
            while left := services.context.jobs.unfinished_jobs():
                for job in left:
                    services.context.watch.cancel(job.id)
                time.sleep(0.2)
            raise


def _show(as_json: bool, data: Any, draw: Callable[[], None]) -> None:
    from app.console import print_json

    if as_json:
        print_json(data)
    else:
        draw()


@app.command()
def demo(
    fast: Annotated[bool, typer.Option(help="Within six minutes on two cores, whatever size that allows.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Run all of TwT, and Standard KD beside it, on generated puzzles with a real student."""
    from app.console import EventBars, err
    from app.demo import describe, run_demo
    from app.recipe import FAST, FULL
    from app.showing import show_demo

    with _open(workspace) as services, EventBars(quiet=as_json) as bars:
        result = run_demo(services, FAST if fast else FULL, lambda line: err.print(line), bars)
        data = describe(services, result)
    _show(as_json, data, lambda: show_demo(data))


@app.command("import-queries")
def import_queries(
    project: ProjectName,
    file: Annotated[Path, typer.Argument(help="JSONL, JSON, CSV, TSV, Parquet or TXT, gzipped or not.")],
    task: Annotated[str | None, typer.Option(help="choice, math, custom (default) or custom-regex.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="ROLE=NAME for query, choices, gold, kind or id.")] = None,
    heldout: Annotated[float, typer.Option(min=0, max=1, help="Share kept for scoring, by hash; 1: all.")] = 0.0,
    embedder: Annotated[str | None, typer.Option(help="auto, packaged, or a sentence-transformers model.")] = None,
    strict: Annotated[bool, typer.Option(help="Store nothing if any row is bad.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Bring queries into a project, making the project if there is none of that name."""
    from app.showing import show_query_import

    columns = dict(_split_pair(pair) for pair in column or [])
    asked = {"name": project, "task": task, "embedder": embedder}
    given = {name: value for name, value in asked.items() if value is not None}
    with _open(workspace) as services:
        result = services.data.import_into(given, file, columns, heldout, strict)
    _show(as_json, result, lambda: show_query_import(project, result))


def _split_pair(pair: str) -> tuple[str, str]:
    role, separator, name = pair.partition("=")
    if not separator or role not in ("query", "choices", "gold", "kind", "id"):
        raise InputError(f"--column {pair}: give ROLE=NAME with a role of query, choices, gold, kind, id")
    return role, name


@app.command("import-outputs")
def import_outputs(
    project: ProjectName,
    file: Annotated[
        Path, typer.Argument(help="Rows with query_id (or query), teacher, rationale, answer, raw, scores.")
    ],
    teacher: Annotated[str | None, typer.Option(help="Name of the teacher, where the file has no such column.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Bring outputs that teachers gave earlier: each teacher in the file becomes a recorded teacher."""
    from app.console import EventBars
    from app.showing import show_output_import

    with _open(workspace) as services, EventBars(quiet=as_json) as bars:
        result = services.data.import_outputs(project, file, teacher)
        services.context.wait(result.job_id, bars)
        project_id = services.context.projects.get(project).id
        counts, failures = services.context.samples.counts(project_id), services.context.samples.failures(project_id)
    data = {**vars(result), "samples": counts, "failures": failures}
    _show(as_json, data, lambda: show_output_import(project, data))


@app.command()
def label(
    project: ProjectName,
    teacher: Annotated[list[str] | None, typer.Option(help="Ask only these teachers.")] = None,
    heldout: Annotated[bool, typer.Option(help="Also ask the held-out queries, for comparison only.")] = False,
    scripted: Annotated[bool, typer.Option(help="Add the three shipped teachers of the generated puzzles.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Let the live teachers answer every query that has no sample yet."""
    from app.console import EventBars
    from app.showing import show_label
    from engine.types import Split

    splits = (Split.DISTILL, Split.HELDOUT) if heldout else (Split.DISTILL,)
    with _open(workspace) as services, EventBars(quiet=as_json) as bars:
        project_id = services.context.projects.get(project).id
        if scripted:
            services.label.add_scripted_teachers(project_id)
        job = services.label.start(project, teacher or (), splits)
        services.context.wait(job.id, bars)
        counts, failures = services.context.samples.counts(project_id), services.context.samples.failures(project_id)
    data = {"samples": counts, "failures": failures}
    _show(as_json, data, lambda: show_label(data))


@app.command()
def select(
    project: ProjectName,
    preset: Annotated[str, typer.Option(help="paper, recordings or none.")] = "paper",
    threshold: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    weight: Annotated[list[str] | None, typer.Option(help="FACTOR=WEIGHT; any reported or computed factor.")] = None,
    disagreement: Annotated[str | None, typer.Option(help="keep, majority or drop.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Dual-Criteria Rejection Sampling: keep the confident, and of each query the least similar pair."""
    from app.showing import show_selection
    from engine.config import read_selection

    config = read_selection(preset, threshold, weight or [], disagreement)
    with _open(workspace) as services:
        stored = services.select.select(project, config)
    _show(
        as_json,
        {"selection": stored.id, "config": config.model_dump(), **stored.counts},
        lambda: show_selection(stored),
    )


@app.command()
def train(
    project: ProjectName,
    plan: Annotated[str, typer.Option(help="twt, twt+standard-kd or standard-kd.")] = "twt+standard-kd",
    preset: Annotated[str, typer.Option(help="small-student, paper or smoke.")] = "small-student",
    student: Annotated[str, typer.Option(help="packaged, or a model id or folder.")] = "packaged",
    compressor: Annotated[str | None, typer.Option(help="Live teacher that compresses for recorded ones.")] = None,
    stages: Annotated[str, typer.Option(help="EPOCHS or EPOCHS@RATE of the three stages: 2,1,4@5e-4.")] = "",
    review: Annotated[bool, typer.Option(help="Wait for a person after compression (`tacit compress`).")] = False,
    check_level: Annotated[int, typer.Option(min=1, max=2, help="2 asks a teacher whether the answer follows.")] = 1,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Run a plan on the newest selection: train the stages, compress between them, evaluate each."""
    from app.console import EventBars
    from app.showing import show_run
    from app.usecases.planning import adjust_plan, make_plan

    with _open(workspace) as services, EventBars(quiet=as_json) as bars:
        chosen = make_plan(services.context, project, plan, preset, student, compressor, stages)
        run = services.run.start(project, adjust_plan(chosen, review, check_level))
        data = services.reading.run(services.run.wait(run.id, bars).id)
    _show(as_json, data, lambda: show_run(data))


@app.command()
def compress(
    run: RunId,
    approve: Annotated[bool, typer.Option(help="Approve what is there, and go on with the run.")] = False,
    edit: Annotated[str | None, typer.Option(help="Sample whose rationale is rewritten by hand.")] = None,
    text: Annotated[str | None, typer.Option(help="The new text for --edit.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Look at a run's compressed rationales beside their originals; edit, or approve them and go on."""
    from app.console import EventBars
    from app.showing import show_compression

    with _open(workspace) as services, EventBars(quiet=as_json) as bars:
        if edit is not None:
            services.run.edit_rationale(run, edit, text or "")
        if approve:
            services.run.wait(services.run.approve(run).id, bars)
        data = services.reading.compression(run)
    _show(as_json, data, lambda: show_compression(data))


@app.command()
def evaluate(run: RunId, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Score a run's answers anew against the gold labels and print its table."""
    from app.showing import show_run

    with _open(workspace) as services:
        services.run.score(run)
        data = services.reading.run(run)
    _show(as_json, data, lambda: show_run(data))


@runs_app.callback()
def runs(context: typer.Context, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """List all runs, newest first."""
    from app.console import print_table

    if context.invoked_subcommand is None:
        with _open(workspace) as services:
            rows = services.reading.runs()
        brief = [{**row, "run": row["run"][:8]} for row in rows]
        _show(as_json, rows, lambda: print_table("runs", brief))


@runs_app.command("show")
def show_one(run: RunId, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Show a run: its steps, which of them are stale, and its report."""
    from app.showing import show_run

    with _open(workspace) as services:
        data = services.reading.run(run)
    _show(as_json, data, lambda: show_run(data))


@runs_app.command("resume")
def resume(run: RunId, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Go on with a run that was stopped, cancelled or cut off."""
    from app.console import EventBars
    from app.showing import show_run

    with _open(workspace) as services, EventBars(quiet=as_json) as bars:
        data = services.reading.run(services.run.wait(services.run.resume(run).id, bars).id)
    _show(as_json, data, lambda: show_run(data))


@runs_app.command("cancel")
def cancel(run: RunId, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Stop a run whose worker goes on after its starter has gone; it saves a checkpoint first."""
    with _open(workspace) as services:
        stopped = services.run.cancel(run)
        services.run.wait_over(stopped.id)
        status = services.context.runs.get(stopped.id).status
    goes_on = (
        f"; `tacit runs resume {stopped.id[:8]}` goes on" if status == "stopped" else ": there was nothing to stop"
    )
    sys.stdout.write(f"run {stopped.id} is {status}{goes_on}\n")


@app.command()
def export(
    project: ProjectName,
    to: Annotated[Path, typer.Argument(help="File .jsonl or .parquet for the set, or a folder for an adapter.")],
    run: Annotated[str | None, typer.Option(help="Run whose stage is exported.")] = None,
    stage: Annotated[str | None, typer.Option(help="Train step whose adapter is copied.")] = None,
    dataset: Annotated[str | None, typer.Option(help="full, compressed or label: the rows a stage trains on.")] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Write the distillation set, the rows of a stage, or the adapter of a stage."""
    with _open(workspace) as services:
        told = services.export.write(project, to, run, stage, dataset)
    sys.stdout.write(f"{told}\n")


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 7860, workspace: Workspace = DEFAULT_WORKSPACE
) -> None:
    """Open the page of runs on this machine (127.0.0.1 only)."""
    from app.main import build_app

    with _open(workspace) as services:
        build_app(services).launch(server_name="127.0.0.1", server_port=port, run_history=False)


@app.command()
def doctor(as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Say what this machine has, and what is missing for what."""
    from app.showing import show_findings
    from app.usecases.checking import check_machine

    findings = check_machine(workspace.resolve())
    _show(as_json, findings, lambda: show_findings(findings))
    if any(not finding.ok for finding in findings):
        raise typer.Exit(EXIT_MISSING)


def _printable(error: Exception) -> str:
    """A message without control characters: it may quote what strangers wrote."""
    return "".join(c for c in str(error) if c in "\n\t" or c.isprintable())


def main() -> None:
    """Run the command line; every expected error is one message on standard error and an exit code of its own."""
    try:
        code = app(standalone_mode=False)
    except TacitError as error:
        sys.stderr.write(f"tacit: {_printable(error)}\n")
        sys.exit(next(code for kind, code in _CODES if isinstance(error, kind)))
    except (KeyboardInterrupt, Abort):
        sys.stderr.write("tacit: interrupted; what was done is kept, `tacit runs` shows what can be resumed\n")
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        sys.stderr.write(f"tacit: {_printable(error)}\n")
        sys.exit(EXIT_INPUT)
    except ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
