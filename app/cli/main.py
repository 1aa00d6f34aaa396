"""The command line `tacit`. Commands import what they need when they run, so that `--help` answers at once."""

from __future__ import annotations

import errno
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer._click.exceptions import ClickException
from typer.exceptions import Abort

from app.cli.asking import ask
from app.cli.decisions import decide_app
from app.cli.exports import backup, export, push, restore_backup, serve_student
from app.cli.gateway import gateway, gateway_key
from app.cli.jobs import jobs_app
from app.cli.options import (
    DEFAULT_WORKSPACE,
    Json,
    ListingCommand,
    ProjectName,
    RunId,
    Workspace,
    open_workspace,
    say,
    show,
    warn,
)
from app.cli.policy import policy
from app.cli.projects import projects_app
from app.cli.reports import report
from app.cli.selection import calibrate, select
from app.cli.study import study
from app.cli.teachers import grade, label, spend, teachers_app
from app.cli.traces import import_traces
from app.cli.training import evaluate, train
from engine.errors import InputError, MissingColumn, MissingPart, StateError, StoreError, TacitError, WorkerFailed
from engine.foreign import plain

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
app.add_typer(decide_app, name="decide")
app.add_typer(runs_app, name="runs")
app.add_typer(teachers_app, name="teachers")
app.add_typer(projects_app, name="projects")
app.add_typer(jobs_app, name="jobs")


@app.command()
def demo(
    fast: Annotated[bool, typer.Option(help="Within six minutes on two cores, whatever size that allows.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Run all of TwT, and Standard KD beside it, on generated puzzles with a real student."""
    from app.cli.console import EventBars, err
    from app.cli.results import show_demo
    from app.demo import describe, run_demo
    from app.recipe import FAST, FULL

    with open_workspace(workspace) as services, EventBars(quiet=as_json) as bars:
        result = run_demo(services, FAST if fast else FULL, lambda line: err.print(line), bars)
        data = describe(services, result)
    show(as_json, data, lambda: show_demo(data))


@app.command("import-queries", cls=ListingCommand)
def import_queries(
    project: ProjectName,
    file: Annotated[
        str,
        typer.Argument(
            help="JSONL, JSON, CSV, TSV, Parquet or TXT, gzipped or not; or hf:DATASET, hf:DATASET:CONFIG@SPLIT."
        ),
    ],
    task: Annotated[str | None, typer.Option(help="One of {engine.tasks:TASKS}; custom if left out.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="ROLE=NAME: what a column is, of those its task reads: {engine.tasks:ROLES}."),
    ] = None,
    heldout: Annotated[float, typer.Option(min=0, max=1, help="Share kept for scoring, by hash; 1: all.")] = 0.0,
    embedder: Annotated[str | None, typer.Option(help="auto, packaged, or a sentence-transformers model.")] = None,
    strict: Annotated[bool, typer.Option(help="Store nothing if any row is bad.")] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Bring queries into a project, making the project if there is none of that name."""
    from app.cli.results import show_query_import
    from engine.hub import HUB

    columns = dict(_split_pair(pair) for pair in column or [])
    asked = {"name": project, "task": task, "embedder": embedder}
    given = {name: value for name, value in asked.items() if value is not None}
    source = file if file.startswith(HUB) else Path(file)
    with open_workspace(workspace) as services:
        try:
            result = services.data.import_into(given, source, columns, heldout, strict)
        except MissingColumn as error:
            raise InputError(f"{error}; name it with --column {error.role}=NAME. Nothing was stored.") from None
    show(as_json, result, lambda: show_query_import(project, result))
    if result.broke_off:
        raise typer.Exit(EXIT_INPUT)


def _split_pair(pair: str) -> tuple[str, str]:
    role, separator, name = pair.partition("=")
    if not separator:
        raise InputError(f"--column {pair}: give ROLE=NAME, as query=NAME")
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
    from app.cli.console import EventBars
    from app.cli.results import show_output_import

    with open_workspace(workspace) as services, EventBars(quiet=as_json) as bars:
        result = services.data.import_outputs(project, file, teacher)
        services.jobs.wait(result.job_id, bars)
        reading = services.data.read_back(project, result)
        project_record = services.projects.get(project)
        counts, failures = services.answers.counts(project_record), services.answers.failures(project_record)
    data = {**vars(result), **vars(reading), "samples": counts, "failures": failures}
    show(as_json, data, lambda: show_output_import(project, data, result, reading))


app.command("import-traces", cls=ListingCommand)(import_traces)


@app.command()
def duplicates(
    project: ProjectName,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Cosine similarity that counts as near.")] = 0.95,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Find queries that nearly repeat another, and those that leak from the held-out split."""
    from app.cli.results import show_resembling

    with open_workspace(workspace) as services:
        pairs = services.resemble.find(project, threshold)
    show(as_json, pairs, lambda: show_resembling(pairs))


app.command()(label)
app.command()(grade)
app.command()(spend)


app.command(cls=ListingCommand)(select)
app.command()(calibrate)


app.command(cls=ListingCommand)(train)
app.command()(study)


@app.command()
def compress(
    run: RunId,
    approve: Annotated[bool, typer.Option(help="Approve what is there, and continue the run.")] = False,
    edit: Annotated[str | None, typer.Option(help="Sample whose rationale is rewritten by hand.")] = None,
    text: Annotated[str | None, typer.Option(help="The new text for --edit.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Look at a run's compressed rationales beside their originals; edit, or approve them and go on."""
    from app.cli.console import EventBars, err
    from app.cli.results import show_compression

    with open_workspace(workspace) as services, EventBars(as_json, services.teachers.go_on_all) as bars:
        if edit is not None:
            edited = services.review.edit(run, edit, text or "")
            if edited.flaw is not None:
                err.print(f"saved, but not approved: {edited.flaw}; --approve approves it all the same")
        if approve:
            services.run.wait(services.run.approve(run).id, bars)
        data = services.review.rows(run)
    show(as_json, data, lambda: show_compression(data))


app.command(cls=ListingCommand)(evaluate)
app.command()(report)
app.command(cls=ListingCommand)(policy)


@runs_app.callback()
def runs(context: typer.Context, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """List all runs, newest first."""
    from app.cli.results import show_runs

    if context.invoked_subcommand is None:
        with open_workspace(workspace) as services:
            rows = services.reading.runs()
        show(as_json, rows, lambda: show_runs(rows))


@runs_app.command("show")
def show_one(run: RunId, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Show a run: its steps, which of them are stale, and its report."""
    from app.cli.results import show_run

    with open_workspace(workspace) as services:
        data = services.reading.run(run)
    show(as_json, data, lambda: show_run(data))


@runs_app.command("resume")
def resume(run: RunId, as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Go on with a run that was stopped, cancelled or cut off."""
    from app.cli.console import EventBars
    from app.cli.results import show_run

    with open_workspace(workspace) as services, EventBars(as_json, services.teachers.go_on_all) as bars:
        data = services.reading.run(services.run.wait(services.run.resume(run).id, bars).id)
    show(as_json, data, lambda: show_run(data))


@runs_app.command("rerun")
def rerun(
    run: RunId,
    step: Annotated[str, typer.Argument(help="Step that is done again, with all behind it.")],
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Do a step of a run and all behind it again."""
    from app.cli.console import EventBars
    from app.cli.results import show_run

    with open_workspace(workspace) as services, EventBars(as_json, services.teachers.go_on_all) as bars:
        data = services.reading.run(services.run.wait(services.run.rerun(run, step).id, bars).id)
    show(as_json, data, lambda: show_run(data))


@runs_app.command("rename")
def rename(
    run: RunId,
    name: Annotated[str, typer.Argument(help='Its name; "" for its number in the project.')],
    note: Annotated[str | None, typer.Option(help="What to remember of it; as it is if left out.")] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Give a run a name, which stands for it everywhere, and a note."""
    with open_workspace(workspace) as services:
        old = services.reading.find_run(run)
        new = services.run.rename(old.id, name, old.note if note is None else note)
    say(f"run {new.id[:8]} is {new.title}")


@runs_app.command("cancel")
def cancel(run: RunId, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Stop a run whose worker goes on after its starter has gone; it saves a checkpoint first."""
    with open_workspace(workspace) as services:
        stopped = services.run.cancel(run)
        status = services.run.wait_over(stopped.id).status
    goes_on = (
        f"; `tacit runs resume {stopped.id[:8]}` goes on" if status == "stopped" else ": there was nothing to stop"
    )
    say(f"run {stopped.id} is {status}{goes_on}")


app.command()(ask)
app.command(cls=ListingCommand)(export)
app.command("serve-student")(serve_student)
app.command()(gateway)
app.command("gateway-key")(gateway_key)
app.command()(push)
app.command()(backup)
app.command("restore")(restore_backup)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Any other than this machine's own needs --auth.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: the first free one from 7860 on.")] = 7860,
    auth: Annotated[str | None, typer.Option(help="user:password, or a file with one such line a user.")] = None,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Offer the read-only endpoints as tools of an MCP server.")
    ] = False,
    with_demo: Annotated[
        bool, typer.Option("--with-demo/--no-demo", help="Whether a workspace without projects gets the demo project.")
    ] = True,
    hosted: Annotated[
        bool, typer.Option("--demo", help="For strangers: the demo read-only, a copy for each visitor, no keys.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(envvar="TACIT_ALLOWED_HOSTS", help="A further name that it is reached by, as studio.example."),
    ] = None,
    proxies: Annotated[
        int | None,
        typer.Option(
            envvar="TACIT_PROXIES", min=0, max=9, help="Proxies in front that say who asks; 0, but 1 on a Space."
        ),
    ] = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Open the studio in the browser."""
    from app.hosted_demo.shipped_project import bring_demo
    from app.web.lean_start import import_gradio

    import_gradio()
    from app.web.main import build_app
    from app.web.server import build_beside, launch_options, serve_app, serve_hosted
    from engine.places import restrict

    options = launch_options(host, port, auth, mcp, hosted, allow_host or (), proxies)
    with open_workspace(workspace) as services:
        if auth or hosted:
            services.teachers.connections.keys.restrict()
            restrict()
        if hosted:
            serve_hosted(services, options)
            return
        made = build_beside(
            lambda: build_app(services, with_login=bool(auth)), lambda: with_demo and bring_demo(services)
        )
        serve_app(made, options)


@app.command()
def doctor(as_json: Json = False, workspace: Workspace = DEFAULT_WORKSPACE) -> None:
    """Say what this machine has, and what is missing for what."""
    from app.cli.results import show_findings
    from app.usecases.workspace.doctor import check_machine

    findings = check_machine(workspace.resolve())
    show(as_json, findings, lambda: show_findings(findings))
    if any(not finding.ok for finding in findings):
        raise typer.Exit(EXIT_MISSING)


class _Plain(logging.LogRecord):
    """A line of the log without what a terminal would obey: it may quote what strangers wrote."""

    def getMessage(self) -> str:
        """The line."""
        return plain(super().getMessage())


def main() -> None:
    """Run the command line; every expected error is one message on standard error and an exit code of its own."""
    logging.setLogRecordFactory(_Plain)
    try:
        code = app(standalone_mode=False)
    except TacitError as error:
        warn(f"tacit: {error}")
        sys.exit(next(code for kind, code in _CODES if isinstance(error, kind)))
    except (KeyboardInterrupt, Abort):
        warn("tacit: interrupted; what was done is kept, `tacit runs` shows what can be resumed")
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        message = f"the disk is full ({error}). What was stored before is kept; free some space and do it again"
        warn(f"tacit: {message if full else error}")
        sys.exit(EXIT_STATE if full else EXIT_INPUT)
    except ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":  # `python -m app` alone opens the studio
    sys.argv += ["serve"] if len(sys.argv) == 1 else []
    main()
