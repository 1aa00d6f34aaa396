"""Samples for the page Kit: the parts about queries, traces, teachers, labelling and rationales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from app.usecases.compression.reviews import ReviewSummary
from app.usecases.data.imports import OutputReading, QueryImport
from app.usecases.data.previews import OutputPreview, Preview
from app.usecases.data.stored_queries import QueryTotals
from app.usecases.data.traces import TraceImport, TracePreview
from app.usecases.labelling.pilots import Pilot
from app.usecases.labelling.progress import Asking, TeacherProgress
from app.usecases.labelling.waits import Wait
from app.usecases.teachers.prompts import Rendered
from app.web.address import View
from app.web.pages.kit_basics import below
from app.web.parts.candidates import CandidateCard, candidates_html
from app.web.parts.imports import (
    commands_html_of,
    first_html,
    outputs_html,
    preview_html,
    samples_html,
    stored_html,
    totals_html,
)
from app.web.parts.labelling import ended_html, failures_html, progress_html, quote_table_html, quote_tiles_html
from app.web.parts.pilot import old_pilot_html, pilot_html
from app.web.parts.prompts import prompt_html
from app.web.parts.rationales import compression_tiles, rationale_html, state_cell, tokens_cell, versions_html
from app.web.parts.tables import table_html
from app.web.parts.teachers import teacher_html, teachers_html
from app.web.parts.traces import details_html, imported_html, traces_html
from app.web.queries_form import Given
from engine.columns import RowError, Span
from engine.evaluation.go_ahead import judge_pilot
from engine.evaluation.pilot import PilotFigures, TeacherFigures
from engine.labelling.quote import Quote
from engine.traces.tally import ModelTally, PersonalTally, TraceTally
from engine.values import Job, JobStatus
from engine.values.report import Value

_ERRORS = [RowError(3, "no text in the column question"), RowError(7, "the label Z is none of the choices")]


def _preview() -> Preview:
    return Preview(
        names=["question", "answer"],
        columns={"text": "question", "gold": "answer", "kind": None},
        good=478,
        bad=0,
        duplicates=0,
        partly=False,
        looked_at=478,
        rows=[{"query": "What is 4 + 5?", "split": "distill", "label": "9"}],
        lengths=[n * n % 97 for n in range(200)],
        unit="tokens of the packaged student",
        errors=[],
        samples={"question": ["What is 4 + 5?", "What is 2 + 2?"], "answer": []},
    )


def _imports() -> Mapping[str, str]:
    good = _preview()
    bad = replace(
        good,
        bad=24,
        duplicates=2,
        partly=True,
        errors=_ERRORS,
        notes=_ERRORS[1:],
        noted=1,
        spanning=1,
        spans=[Span(4, 5, 60)],
        broke_off="a quote in line 300 is not closed",
        paraphrases=12,
        limit=80,
    )
    asked = replace(good, asked="Several columns may hold the query.", rows=[{"q": "What is 4 + 5?", "p": "9"}])
    columns = {
        "One that is chosen": "text",
        "One of empty values": "gold",
        "A role without a column": "kind",
        "A role that is not read": "id",
    }
    given = Given(file="queries.csv", hold="A second file", second="heldout.csv")
    return {
        "Before the first import": first_html(),
        "A project's queries": totals_html(QueryTotals(384, 96, 480, 96, {"sum": 200, "product": 180, "age": 100})),
        "Nothing held out": totals_html(QueryTotals(384, 0, 0, 0, {})),
        **{name: samples_html(good, role, "what a kind is for") for name, role in columns.items()},
        "A file in order": preview_html(good, replace(good, good=96)),
        "A file with errors, and its held-out file": preview_html(bad, replace(good, good=0, bad=2, errors=_ERRORS)),
        "Nothing can be read": preview_html(replace(good, good=0, bad=478, rows=[], lengths=[], errors=_ERRORS)),
        "Something must be said first": preview_html(asked),
        "Something must be said of its held-out file": preview_html(good, asked),
        "As commands": commands_html_of("sample", given, good, good),
    }


def _stored() -> Mapping[str, str]:
    good = QueryImport(478, 384, 96, 478, 0, 0, 0, 0, [])
    bad = QueryImport(240, 384, 96, 0, 2, 3, 1, 24, _ERRORS, noted=1, notes=_ERRORS[1:], broke_off="it is cut off")
    outputs = OutputPreview(
        {"ann": 240, "ben": 238},
        [{"query": "What is 4 + 5?", "rationale or reply": "First add.", "teacher": "ann", "answer": "9"}],
        *(0, 0, 0, [], [], 478, False, ""),
    )
    broken = OutputPreview({}, [], 3, 475, 1, _ERRORS, _ERRORS[1:], 478, True, "a brace is not closed")
    return {
        "Queries stored": stored_html(good, "queries.csv"),
        "Queries stored in part": stored_html(bad),
        "A file of outputs": outputs_html(outputs),
        "A file of outputs with errors": outputs_html(broken),
    }


def _traces() -> Mapping[str, str]:
    models = {"big-model": ModelTally(300, 300, Decimal("1.2"), 300, 120), "other-model": ModelTally(20)}
    systems = {"You answer briefly.": 280, "": 40}
    good = TraceTally(read=320, taken=320, models=models, systems=systems)
    personal = {"email": PersonalTally(12, {1, 2, 3}, ["row 4", "row 9"])}
    bad = replace(good, rejected=2, errors=_ERRORS, repeated=4, tools=1, personal=personal, flagged=12)
    row = {"query": "What is 4 + 5?", "reasoning": "First add.", "reply": "9", "teacher": "big-model"}
    fine = TracePreview("OpenAI chat messages", good, [row, {**row, "reasoning": ""}], False)
    doubtful = replace(fine, tally=bad, partly=True, broke_off="the last line is cut off")
    empty = TracePreview("OpenAI chat messages", TraceTally(), [], False)
    queries = QueryImport(320, 320, 0, 0, 0, 0, 0, 0, [])
    whole = TraceImport(fine.formats, good, queries, "1", {"big-model": 300})
    part = TraceImport(fine.formats, bad, replace(queries, broke_off="it is cut off"), None, {}, "mask")
    return {
        "Files in order": below(traces_html(fine), details_html(fine)),
        "Errors and personal data": below(traces_html(doubtful), details_html(doubtful)),
        "No traces": below(traces_html(empty), details_html(empty)),
        "Imported": imported_html(whole, OutputReading(300, 298, 0, 2, {"no answer stated": 2})),
        "Imported in part": imported_html(part, None),
    }


def _teachers() -> Mapping[str, str]:
    hosted: dict[str, Any] = {
        "name": "ann",
        "model": "big-model",
        "provider": "openai",
        "preset": "openrouter",
        "endpoint": "https://openrouter.ai/api/v1",
        "price": {"input": 0.4, "output": 1.625},
        "assumed": None,
        "hosted": True,
        "key_state": "OPENROUTER_API_KEY is set",
        "capabilities": {"structured": "json_schema", "logprobs": True, "reasoning": "reasoning_content"},
        "sampling": {"temperature": 0.7, "top_p": 0.95, "max_tokens": 2048},
    }
    bare = {**hosted, "name": "ben", "price": None, "key_state": "OPENROUTER_API_KEY is not set", "capabilities": None}
    free = {**hosted, "name": "cem", "provider": "scripted", "preset": "", "hosted": False, "key_state": "not needed"}
    free |= {"price": {"input": 0, "output": 0}, "assumed": {"input": 0.1, "output": 0.4}, "capabilities": None}
    recorded = {**free, "name": "dan", "provider": "recorded", "price": None, "assumed": None}
    rows = [hosted, bare, free, recorded]
    names = [row["name"] for row in rows]
    opened = {f"Opened: {row['name']}": teacher_html(row, names, whole=True) for row in rows}
    listed = teachers_html(rows, View(open="ann"))
    return {"All": listed, "One": teachers_html(rows[:1], View()), "None": teachers_html([], View()), **opened}


def _prompts() -> Mapping[str, str]:
    whole = Rendered("You reason step by step.", "What is 4 + 5?", 2, 480)
    return {
        "On a query": prompt_html(whole),
        "Without a system part": prompt_html(whole._replace(system="")),
        "No query matches": prompt_html(Rendered("You reason step by step.", "(the query stands here)", 0, 0)),
    }


def _quotes() -> Mapping[str, str]:
    amounts = Decimal("1.2"), Decimal("2.5"), 90.0, 840.0
    quote = Quote("ann", "m", 480, 90_000, 120_000, 40_000, 60_000, *amounts, "$2 in, $8 out a million", "bounds")
    unknown = replace(quote, teacher="ben", cost_low=None, cost_high=None, price="unknown")
    nothing = Quote("ann", "m", 0, 0, 0, 0, 0, Decimal(0), Decimal(0), 0.0, 0.0, "$2 in, $8 out a million", "-")
    sets = {"Known": [quote], "A price is unknown": [quote, unknown], "Nothing is left to ask": [nothing], "Nobody": []}
    drawn = {name: below(quote_tiles_html(quotes), quote_table_html(quotes)) for name, quotes in sets.items()}
    half = below(quote_tiles_html([quote], batch=True), quote_table_html([quote], batch=True))
    return {**drawn, "Half price": half}


def _asking(status: JobStatus, message: str = "", limit: int | None = None) -> Asking:
    parts = [
        TeacherProgress("ann", 120, 480, 2, 131, 48_000, Decimal("0.4132"), 0, 2.1, 171.0),
        TeacherProgress("ben", 0, None, 0, 0, 0, Decimal(0), 3, None, None),
        TeacherProgress("cem", 60, 480, 0, 60, 9_000, Decimal("0.1"), 2, 1.0, 420.0, Wait(40.0)),
    ]
    job = Job("1", "p", None, "label", status, {"limit": limit} if limit else {}, "", message=message)
    return Asking(job, parts, Decimal(9), 2_000, 1.0, 200.0)


def _labelling() -> Mapping[str, str]:
    running, queued = _asking(JobStatus.RUNNING), _asking(JobStatus.QUEUED)
    known = replace(running, teachers=running.teachers[:1], max_requests=None)
    failed = [{"teacher": "ann", "error": "timeout", "n": 2}, {"teacher": "ben", "error": "unparsable", "n": 31}]
    why = {JobStatus.FAILED: "A sample error.", JobStatus.CAPPED: "The cap of $9.00 is reached."}
    over = [status for status in JobStatus if status.over]
    return {
        "Queued": progress_html(replace(queued, teachers=[], max_cost=None, max_requests=None)),
        "Running": progress_html(known),
        "Running, one waits, costs are unknown": progress_html(running),
        "A pilot": progress_html(_asking(JobStatus.RUNNING, limit=50)),
        "Nothing ended": ended_html(None, "labelling"),
        **{f"Ended: {one}": ended_html(_asking(one, why.get(one, "")), "labelling") for one in over},
        "Failures by kind": failures_html(failed, "timeout"),
        "No failures": failures_html([], ""),
    }


def _figures() -> PilotFigures:
    share, wide = Value(0.9, 50, 0.8, 0.96), Value(0.75, 50, 0.6, 0.86)
    teachers = (
        TeacherFigures("ann", 50, 50, share, share, wide, Value(0.92, 25, 0.75, 0.98)),
        TeacherFigures("ben", 50, 49, wide, wide, None, None),
    )
    shares = Value(0.99, 50, 0.9, 1.0), share, share, Value(0.92, 25, 0.75, 0.98), share, wide, None
    money = Value(12.5, 50, 10.0, 15.0), Value(0.02, 50, 0.01, None), Value(700.0, 50, 600.0, 800.0)
    return PilotFigures(50, 49, 100, 480, 10, teachers, *shares, *money)


def _pilots() -> Mapping[str, str]:
    go = _figures()
    silent = tuple(replace(teacher, replied=15) for teacher in go.teachers)
    few = replace(go, teachers=silent, answered=12, replied=Value(0.3, 50, 0.2, 0.4))
    wrong = replace(go, right=Value(0.2, 25, 0.1, 0.3), kept=Value(0.0, 50, 0.0, 0.1), kept_in_all=None)
    alone = replace(go.teachers[0], agreement=None, right=None)
    blind = replace(
        go, teachers=(alone,), agreed=None, right=None, kept=None, cost=None, cost_each=None, kept_in_all=None
    )
    figures = {"Go": go, "No: labels are wrong": wrong, "Not yet: nothing says whether labels are right": blind}
    kept = "Balanced (a sample)"
    pilots = {name: Pilot(one, judge_pilot(one), kept, {}, 1.25, left=True) for name, one in figures.items()}
    failed = Pilot(few, judge_pilot(few), kept, {"timeout": 60, "auth": 10}, None, ended="it stopped at its cap")
    return {
        **{name: pilot_html(one, "sample") for name, one in pilots.items()},
        "Much of it failed": pilot_html(replace(failed, unasked=("cem",), notes=("A sample note.",)), "sample"),
        "Nothing is left to ask": old_pilot_html(pilots["Go"], "sample"),
    }


def _candidates() -> Mapping[str, str]:
    facts = ["label 9", "confidence 0.971"]
    cards = [
        CandidateCard("1", 1, "ann", facts, "first add, <ins>then halve</ins>", True, "Kept by hand"),
        CandidateCard("2", 2, "ben", ["label 9"], "first add", False, "Not in the pair", original="at first"),
    ]
    return {"One is chosen": candidates_html(cards, "1", "Samples"), "None is": candidates_html(cards, "", "Samples")}


def _row() -> dict[str, Any]:
    return {
        "sample": "s",
        "version": 2,
        "origin": "compressed",
        "teacher": "ann",
        "label": "9",
        "query": "What is 4 + 5?",
        "original": "First take 4, then add 5.",
        "compressed": "4 + 5",
        "student": "4 and 5.\nAnswer: 8",
        "tokens": (9, 8, 3),
        "check": "answer preserved (level 1)",
        "preserved": True,
        "approved": True,
        "flags": ("student:other label", "answer preserved (level 1)"),
    }


def _rationales() -> Mapping[str, str]:
    good, open_ = _row(), {**_row(), "approved": False, "flags": ()}
    rows = {
        "Approved": good,
        "To review": open_,
        "Edited": {**good, "origin": "edited", "check": "edited, answer preserved (level 1)", "tokens": (9, 8, 12)},
        "The answer changed": {**open_, "check": "answer not preserved (level 1)", "preserved": False},
        "The original was kept": {
            **open_,
            "check": "original kept",
            "preserved": False,
            "tokens": (9, 8, 9),
            "compressed": good["original"],
        },
        "Not checked, tokens unknown": {**open_, "check": "not checked", "preserved": None, "tokens": (None,) * 3},
    }
    cells = [{"state": state_cell(row, True), "tokens": tokens_cell(row), "of": name} for name, row in rows.items()]
    versions = [{"version": 1, "origin": "compressed", "approved": False, "text": "4 + 5", "note": "Shorter."}]
    shown = {name: rationale_html(row) for name, row in rows.items()}
    return {
        "In a list": table_html(cells),
        **shown,
        "A newer version came in": rationale_html({**good, "student": ""}, "A newer version came in."),
        "Versions": versions_html([*versions, {**versions[0], "version": 2, "approved": True}]),
    }


def _compression() -> Mapping[str, str]:
    part = ReviewSummary(48, 180.0, 61.0, 45, 48, 3, 40, 12, 12, 2, reviewed=True, waiting=True, asking=1)
    whole = replace(part, preserved=48, kept_original=0, approved=48, level=1, waiting=False, asking=0)
    unknown = replace(whole, original_tokens=None, checked=0, preserved=0, approved=0, reviewed=False)
    return {
        "All approved": compression_tiles(whole),
        "Some to review, some being asked again": compression_tiles(part),
        "Not checked, tokens unknown": compression_tiles(unknown),
        "None": compression_tiles(replace(whole, rationales=0)),
    }


PREPARING: dict[str, Callable[[], Mapping[str, str]]] = {
    "Imports": _imports,
    "What was imported": _stored,
    "Traces": _traces,
    "Teachers": _teachers,
    "Prompts": _prompts,
    "Quotes": _quotes,
    "Labelling": _labelling,
    "Pilots": _pilots,
    "Candidates": _candidates,
    "Compression": _compression,
    "Rationales": _rationales,
}
"""Parts by title."""
