"""Draws the commands' results in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from app.cli.console import out, print_table
from app.usecases.data.imports import OutputImport, OutputReading, QueryImport
from app.usecases.data.near_duplicates import Resembling
from app.usecases.data.trace_words import model_rows, system_rows, tell_traces
from app.usecases.data.traces import TraceImport
from app.usecases.data.words import tell_outputs, tell_queries
from app.usecases.evaluation.report_lines import difference_lines, kinds_lines, more_lines, report_lines
from app.usecases.labelling import pilot_lines
from app.usecases.labelling.pilots import Pilot
from app.usecases.selection.calibration import Fitted, Measured, say_fitted, say_measured
from app.usecases.selection.comparison import SHARES, Comparison, find_point, say_comparison, say_interval
from app.usecases.selection.tallies import say_kept, say_notices
from app.usecases.workspace.doctor import Finding
from app.usecases.workspace.unknown_ends import UnknownEnds
from engine.labelling.quote import Quote
from engine.values.report import WHOLE, Difference, ReportRow
from engine.wording import counted, say_span, verb

_SHOWN_ERRORS = 10


def show_query_import(project: str, result: QueryImport) -> None:
    """Say what went in and what did not."""
    first, *more = tell_queries(result)
    say(f"{project}: {first}")
    splits = f"{counted(result.distill, 'query', 'queries')} to distill from and {result.heldout:,} held out"
    say(f"The project has {splits}.")
    for line in more:
        say(line)
    _show_rows("Left out", result.errors, result.rejected)
    _show_rows("Taken in part", result.notes, result.noted)


def _show_rows(what: str, rows: Sequence[Any], count: int) -> None:
    if rows:
        say(f"{what}:")
    for row in rows[:_SHOWN_ERRORS]:
        say(f"  row {row.row}: {row.message}")
    if count > _SHOWN_ERRORS:
        out.print(f"  and {count - _SHOWN_ERRORS:,} more (--json lists the first 1,000)")


def say(line: str) -> None:
    """One line, however long, none of it read as markup: it may quote what strangers wrote."""
    out.print(Text(line), soft_wrap=True)


def show_resembling(pairs: Sequence[Resembling]) -> None:
    """Near duplicates."""
    rows = [
        {"similarity": f"{p.similarity:.3f}", "leak": "yes" if p.leak else "", "one": p.first, "other": p.second}
        for p in pairs
    ]
    print_table("queries that nearly repeat another", rows)


def show_output_import(project: str, data: dict[str, Any], result: OutputImport, reading: OutputReading) -> None:
    """Say which teachers came in, and what of their outputs could not be read."""
    first, *more = tell_outputs(result, reading)
    say(f"{project}: {first}")
    for line in more:
        say(line)
    _show_rows("Left out", result.errors, result.rejected)
    _show_rows("Taken in part", result.notes, result.noted)
    show_label(data)


def show_trace_import(project: str, result: TraceImport, reading: OutputReading | None) -> None:
    """Say what traces gave: queries, teachers with what they cost, and what was noticed."""
    first, *more = tell_traces(result, reading)
    say(f"{project}: {first}")
    for line in more:
        say(line)
    if result.tally.models:
        print_table("recorded teachers", model_rows(result.tally))
    if len(result.tally.systems) > 1:
        print_table("system prompts", system_rows(result.tally))
    _show_rows("Left out", result.queries.errors, result.queries.rejected)


def show_label(data: dict[str, Any]) -> None:
    """Samples and failures by teacher."""
    print_table("samples", data["samples"])
    if data["failures"]:
        print_table("failed attempts", data["failures"])
    if data.get("cost_usd"):
        out.print(f"the project has cost ${data['cost_usd']:.4f} so far (`tacit spend`)")
    if data.get("quote"):
        show_quote(data["quote"])


def show_grades(data: dict[str, Any]) -> None:
    """How teachers graded their own answers."""
    print_table("teachers' grades of their own answers", data["grades"])
    out.print(f"the project has cost ${data['cost_usd']:.4f} so far (`tacit spend`)")


def show_teachers(rows: Sequence[dict[str, Any]]) -> None:
    """Teachers with their prices and what their endpoints support."""
    print_table("teachers", [_teacher_line(row) for row in rows])
    for row in rows:
        capabilities = row["capabilities"]
        if capabilities is not None:
            reasoning = capabilities["reasoning"] or "none seen"
            yes = {True: "yes", False: "no"}
            out.print(
                f"{row['name']}: structured output {capabilities['structured']}; "
                f"temperature {yes[capabilities['temperature']]}; hidden reasoning: {reasoning}; "
                f"log-probs {yes.get(capabilities.get('logprobs'), 'not tested')}",
                markup=False,
            )


def _teacher_line(row: dict[str, Any]) -> dict[str, Any]:
    price, assumed = row["price"], row["assumed"]
    source = price["source"] if price else "-"
    if assumed:
        source += f" ({assumed['source']} {assumed['input']:g} / {assumed['output']:g})"
    return {
        "teacher": row["name"],
        "provider": row["provider"],
        "model": row["model"],
        "$/M in": price["input"] if price else "unknown",
        "$/M out": price["output"] if price else "unknown",
        "price from": source,
        "tested": "yes" if row["capabilities"] else "-",
    }


def show_names(names: Sequence[str]) -> None:
    """One name a line."""
    for name in names:
        out.print(Text(name))


def show_quote(quotes: Sequence[Quote]) -> None:
    """What a labelling would ask and cost, low to high."""
    print_table(
        "quote, low to high",
        [
            {
                "teacher": q.teacher,
                "requests": q.requests,
                "tokens in": f"{q.input_low:,}-{q.input_high:,}",
                "tokens out": f"{q.output_low:,}-{q.output_high:,}",
                "US $": "unknown" if q.cost_low is None else f"{q.cost_low:.4f}-{q.cost_high:.4f}",
                "minutes": f"{q.seconds_low / 60:.1f}-{q.seconds_high / 60:.1f}",
            }
            for q in quotes
        ],
    )
    for q in quotes:
        out.print(f"{q.teacher}: price {q.price}; tokens {q.basis}", markup=False)
    known = [q for q in quotes if q.cost_low is not None and q.cost_high is not None]
    low, high = sum(q.cost_low or 0 for q in known), sum(q.cost_high or 0 for q in known)
    more = "" if len(known) == len(quotes) else ", and what the teachers of unknown price bill"
    out.print(f"together ${low:.4f} to ${high:.4f}{more}; no request that fails is in it")


def show_pilot(pilot: Pilot | None, quotes: Sequence[Quote]) -> None:
    """What a pilot came to, its verdict last but for the quote of the rest."""
    if pilot is None:
        out.print("no query to distill from was asked yet: there is nothing to judge")
        return
    print_table("teachers in the pilot, with 95% intervals", pilot_lines.teacher_rows(pilot))
    print_table("what the verdict goes by", pilot_lines.bound_rows(pilot))
    print_table("expected", pilot_lines.cost_rows(pilot))
    if quotes:
        show_quote(quotes)
    for note in pilot_lines.list_notes(pilot):
        say(note)
    say(f"pilot: {pilot_lines.say_basis(pilot)}")
    say(f"{pilot_lines.TITLES[pilot.go_ahead.verdict]}: {pilot_lines.say_reason(pilot)}")
    for change in pilot_lines.list_changes(pilot):
        say(f"- {change}")


def show_parsed_again(by_teacher: dict[str, dict[str, int]]) -> None:
    """What reading old replies again gave."""
    print_table("unread replies", [{"teacher": name, **counts} for name, counts in by_teacher.items()])


def show_spend(data: dict[str, Any]) -> None:
    """The ledger."""
    for title, rows in (("by teacher and purpose", data["rows"]), ("by job", data["jobs"])):
        print_table(title, [{**row, "cost_usd": f"{row['cost_usd']:.6f}"} for row in rows])
    unknown = f"; the cost of {counted(data['unknown_cost'], 'request')} is unknown" if data["unknown_cost"] else ""
    out.print(f"together ${data['cost_usd']:.6f}{unknown}")
    if ends := str(UnknownEnds(**data["unknown_ends"])):
        out.print(f"besides {ends}: sent by jobs that were cut off, and perhaps billed")


def show_selection(data: dict[str, Any]) -> None:
    """The numbers of a selection, and what they are worth where gold labels exist."""
    if data["notice"]:
        out.print(data["notice"], "`--preset paper` asks for the paper's.", markup=False)
    out.print(
        f"{say_kept(data)}; {counted(data['renormalised'], 'sample')} {verb(data['renormalised'], 'lacks')} a factor; "
        f"vectors by {data['embedder']}"
    )
    for notice in say_notices(data):
        out.print(Text(notice))
    if data["spread"]:
        print_table("confidence by teacher", data["spread"])
    for row in data["spread"]:
        if not row["separates"]:
            out.print(Text(f"{row['teacher']}: this threshold separates nothing; {row['passed']:.0%} pass"))
    print_table("reasons", [{"reason": name, "samples": number} for name, number in data["reasons"].items()])
    print_table("kept by teacher", [{"teacher": n, "samples": c} for n, c in data["kept_by_teacher"].items()])
    if data["calibration"]:
        measured = Measured(**data["calibration"])
        for line in say_measured(measured):
            out.print(line)
        if measured.bins:
            print_table("confidence against gold labels", measured.bins)
    if data["draws"]:
        lines = [{name: _show_draws(value) for name, value in row.items()} for row in data["draws"]]
        print_table("teachers' draws against gold labels: Pass@k (95% interval)", lines)


def _show_draws(value: Any) -> Any:
    return f"{value[0]:.2f} [{value[1]:.2f}, {value[2]:.2f}]" if isinstance(value, list) else value


def show_comparison(comparison: Comparison) -> None:
    """Ways to select beside each other: what each keeps by its own rules, and at equal numbers."""
    own = [
        {
            "way": way.title,
            "samples": way.kept and way.kept.samples,
            "queries": way.kept and way.kept.queries,
            "right": way.kept and way.kept.right,
            "95%": say_interval(vars(way.kept) if way.kept else None),
        }
        for way in comparison.ways
    ]
    print_table("what each keeps by its own rules; nothing was stored", own)
    for share in SHARES if comparison.scored else ():
        count = round(share * comparison.samples)
        points = {way.title: find_point(way, count) for way in comparison.ways}
        rows = [{"way": n, "right": p and p["right"], "95%": say_interval(p)} for n, p in points.items()]
        print_table(f"if each kept {counted(count, 'sample')}, {share:.0%} of all", rows)
    for line in say_comparison(comparison):
        say(line)


def show_fitted(project: str, fitted: Fitted) -> None:
    """A temperature, and how to order it."""
    out.print(say_fitted(fitted))
    out.print(f"nothing was changed; to use it: tacit select {project} ... --temperature {fitted.temperature:g}")


def show_report(data: dict[str, Any]) -> None:
    """The table of a run, by kind where kinds are mixed, and the paired differences."""
    rows = [ReportRow.from_dict(row) for row in data["rows"]]
    if not rows:
        out.print("no held-out query has a gold label: nothing was scored")
        return
    print_table(
        "held-out queries: accuracy (95% interval), output tokens in the student's tokenizer, seconds a query",
        report_lines(rows),
    )
    if more_lines(rows):
        print_table("more of the same answers, with 95% intervals", more_lines(rows))
    if any(row.kind != WHOLE for row in rows):
        print_table("accuracy by kind", kinds_lines(rows))
    if data["differences"]:
        print_table(
            "paired differences with 95% interval", difference_lines([Difference(**r) for r in data["differences"]])
        )
    for note in data["notes"]:
        out.print(note)
    if data["verdict"]:
        out.print(data["verdict"], markup=False)


def show_runs(rows: Sequence[dict[str, Any]]) -> None:
    """All runs; of one that is going on, what is left of it. What happened to them stands below."""
    print_table("runs", [{**_without(row), "run": row["run"][:8], "left": say_left(row)} for row in rows])
    for row in rows:
        if row["message"]:
            out.print(f"{row['name']}: {row['message']}", markup=False)


def _without(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("left_") and name != "message"}


def say_left(row: dict[str, Any]) -> str:
    """The time that is left of a run in the list."""
    if row["left_s"] is None:
        return "-"
    return say_span(row["left_s"]) + (" and compressing" if row["left_without_compressing"] else "")


def show_bill(data: dict[str, Any]) -> None:
    """What a thousand answers cost each, and when the student to ship pays back."""
    rows = [
        {
            "system": row["system"],
            "$ / 1,000": "unknown" if row["per_1000"] is None else f"{row['per_1000']:.4f}",
            "price": "assumed" if row["assumed"] else "",
        }
        for row in data["rows"]
    ]
    if not rows:
        return
    print_table(f"a thousand answers, the device at ${data['device_hour']:.2f} an hour", rows)
    if data["pays_back"]:
        out.print(data["pays_back"], markup=False)


def show_run(data: dict[str, Any]) -> None:
    """A run's steps and report."""
    known = f"{data['name']} (run {data['run'][:8]}, plan {data['plan']})"
    out.print(f"{known}: {data['status']} {data['message']}".rstrip(), markup=False)
    if data["note"]:
        out.print(data["note"], markup=False)
    print_table("steps", data["steps"])
    if data["rows"] or data["status"] == "finished":
        show_report(data)
    if data["status"] == "waiting":
        out.print(
            f"look with `tacit compress {data['run'][:8]}`, continue with `tacit compress {data['run'][:8]} --approve`"
        )


def show_forecast(forecast: Any) -> None:
    """What a plan will take."""
    if forecast is None:
        out.print("nothing was measured")
        return
    rows = [{**vars(stage), "seconds": round(stage.seconds)} for stage in forecast.stages]
    print_table(f"forecast on {forecast.device} in {forecast.dtype}", rows)
    out.print(
        f"training {forecast.training_s / 60:.0f} min, writing {forecast.writing_low / 60:.0f} to "
        f"{forecast.writing_high / 60:.0f} min, "
        f"{forecast.peak_bytes / 1e9:.1f} GB; guessed: the step's rows are made by the run itself"
    )
    print_table("rows that are too long, left out", forecast.too_long)


def show_compression(rows: Sequence[dict[str, Any]]) -> None:
    """Compressed rationales beside their originals."""
    for row in rows:
        out.rule(Text(f"{row['sample']} · {row['teacher']} · {', '.join(row['flags'])}"), align="left")
        for name in ("original", "student", "compressed"):
            out.print(Text(f"{name:>10}: {row[name]}"))


def show_demo(data: dict[str, Any]) -> None:
    """The demo's table and what goes with it."""
    show_report(data)
    scores = ", ".join(f"{name} {'-' if v is None else format(v, '.2f')}" for name, v in data["auroc"].items())
    out.print(f"how well the teachers' self-scores tell right from wrong (AUROC): {scores}")
    broken = sum(row["n"] for row in data["failures"])
    attempts = "a failed attempt" if broken == 1 else "failed attempts"
    out.print(
        f"{counted(broken, 'malformed reply')} {verb(broken, 'is')} kept as {attempts}; run {data['run'][:8]} "
        f"took {data['seconds']:.0f} s"
    )


def show_findings(findings: Sequence[Finding]) -> None:
    """What the doctor found."""
    rows = [
        {"what": f.name, "": "ok" if f.ok else "missing", "value": f.value, "needed for": "" if f.ok else f.needed_for}
        for f in findings
    ]
    print_table("this machine", rows)
