"""From traces to queries and recordings: what is counted, and that no row of a stranger's breaks anything."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.personal import PERSONAL_KINDS
from engine.records import MAX_CELL
from engine.tasks import get_task
from engine.teachers.recorded import Recording
from engine.traces import FORMATS
from engine.traces.gathering import Gatherer, name_model
from engine.traces.reading import TraceItem
from engine.traces.settings import TraceOrder
from engine.traces.tally import OTHERS, TraceTally, name_systems
from engine.traces.turns import write_query
from engine.values import Query
from tests.fakes.traces import (
    ASKED,
    BATCH_IN,
    BATCH_OUT,
    EVALS,
    FINETUNING,
    LANGFUSE,
    SAID,
    SPANS,
    STORED,
    read,
    traces,
    write,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
ROWS = (FINETUNING, STORED, EVALS, BATCH_IN | BATCH_OUT, LANGFUSE, *SPANS.values())


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON value with every key of it."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def gather(
    items: list[TraceItem], task: str = "custom", **order: Any
) -> tuple[TraceTally, list[Query], dict[tuple[str, str], Recording]]:
    kept: dict[tuple[str, str], Recording] = {}
    gatherer = Gatherer(
        TraceOrder(**order), get_task(task), keep=lambda name, query, said: kept.update({(name, query): said})
    )
    queries = [query for block in gatherer.blocks(iter(items)) for query in block.queries]
    return gatherer.tally, queries, kept


@settings(max_examples=60)
@given(st.sampled_from(range(len(ROWS))), st.integers(0, 200), JSON)
def test_a_row_with_anything_in_any_place_is_read_or_told(which: int, place: int, value: Any) -> None:
    row = json.loads(json.dumps(ROWS[which]))
    found = list(places(row))
    holder, key = found[place % len(found)]
    holder[key] = value
    for name in FORMATS:
        kind = FORMATS[name]
        for part in list(kind.parts(row)) or [row]:
            try:
                trace = kind.read(part)
            except (InputError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
                continue
            if trace is not None:
                tally, queries, _ = gather([TraceItem("a", 1, trace)])
                assert tally.taken == len(queries) or tally.rejected
                json.dumps([query.text for query in queries]).encode("utf-8")


DEEP = json.loads("[" * 400 + "]" * 400)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (5, "a part of a message is neither a text nor an object"),
        ([], "nothing is asked in it"),
        ("", "nothing is asked in it"),
        (DEEP, "more than 100 lists or objects in one another"),
        ([{"type": "image", "source": {}}], "it holds parts that are no text (image); only text is taken"),
        ([{"type": "input_audio", "input_audio": {}}], "it holds parts that are no text (audio); only text is taken"),
        ("x" * (MAX_CELL + 1), "a text in it is longer than 100,000 characters"),
    ],
)
def test_hostile_content_is_told_by_row(content: Any, why: str, tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": content}, SAID], "model": "m"}
    file = write(tmp_path / "a.jsonl", row, {"messages": [ASKED, SAID], "model": "m"})
    tally, queries, _ = gather(read(file))
    assert [query.text for query in queries] == ["Capital of France?"]
    assert [(error.row, error.message) for error in tally.errors] == [(1, why)]


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud83d"])
def test_texts_that_can_not_be_stored_are_told_even_where_json_lies_in_json(text: str, tmp_path: Path) -> None:
    inner = f'[{{"role": "user", "content": "{text}"}}]'
    file = write(tmp_path / "a.jsonl", {**LANGFUSE, "input": inner}, LANGFUSE)
    tally, queries, _ = gather(read(file))
    assert len(queries) == 1 and tally.rejected == 1 and tally.errors[0].row == 1
    assert "NUL" in tally.errors[0].message or "lone surrogate" in tally.errors[0].message


def test_damaged_lines_are_told_and_the_others_kept(tmp_path: Path) -> None:
    good = json.dumps(STORED)
    file = tmp_path / "a.jsonl"
    lines = [good, "{", '{"id": "\\ud83d", "choices": []}', f'{{"choices": {"[" * 5000}{"]" * 5000}}}', "7", good]
    file.write_text("\n".join(lines))
    tally, queries, _ = gather(read(file))
    assert len(queries) == 1 and tally.taken == 2 and [error.row for error in tally.errors] == [2, 3, 4, 5]


def test_a_long_context_is_read_although_a_cell_of_a_query_could_not_hold_it(tmp_path: Path) -> None:
    turns = [{"role": role, "content": "x" * 30_000} for role in ("user", "assistant", "user")]
    (trace,) = traces(read(write(tmp_path / "a.jsonl", {"messages": [*turns, SAID]})))
    assert len(write_query(trace.turns)) > 90_000
    tally, *_ = gather(read(write(tmp_path / "b.jsonl", {"messages": [*turns, *turns, SAID]})))
    assert "what was asked is longer than 100,000 characters" in tally.errors[0].message


def ask(text: str, said: Any = "yes", model: str = "m", **more: Any) -> dict[str, Any]:
    reply = said if isinstance(said, dict) else {"role": "assistant", "content": said}
    return {"model": model, "messages": [{"role": "user", "content": text}, reply], **more}


def test_what_the_task_can_not_take_is_rejected_and_not_taken(tmp_path: Path) -> None:
    tally, queries, _ = gather(read(write(tmp_path / "a.jsonl", *[ask(f"{n}?") for n in range(3)])), "choice")
    assert (queries, tally.read, tally.taken, tally.rejected, tally.systems) == ([], 3, 0, 3, {})


def test_repetitions_tools_images_and_near_duplicates_are_counted(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}
    refused = {"role": "assistant", "content": None, "refusal": "I can't."}
    talk = {"model": "m", "messages": [ASKED, call, {"role": "tool", "content": "Paris"}, SAID]}
    rows = [
        ask("Is it on?"),
        ask("Is it on?", "no"),
        ask("Is it on?", "no", "n"),
        ask("is it ON"),
        ask("Call.", call),
        ask("Refuse.", refused),
        talk,
        {"model": "m", "messages": [{"role": "user", "content": "Nobody answers"}]},
        ask("Two lines?", "a\nb"),
    ]
    tally, queries, kept = gather(read(write(tmp_path / "a.jsonl", *rows)))
    assert (tally.repeated, tally.near, tally.calls, tally.refusals, tally.tools) == (1, 1, 1, 1, 1)
    assert (tally.bare, tally.long, tally.rejected, len(queries)) == (1, 1, 2, 5)
    assert kept["m", queries[0].id].answer == "yes", "the first reply counts"
    assert {name for name, _ in kept} == {"m", "n"}


def test_system_prompts_are_told_apart_and_kept_in_the_text_or_beside_it(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "system", "content": text}, ASKED, SAID]} for text in ("Be brief.", "Be kind.")]
    items = read(write(tmp_path / "a.jsonl", *rows, rows[0]))
    tally, queries, _ = gather(items)
    assert tally.systems == {"Be brief.": 2, "Be kind.": 1}
    assert [query.text for query in queries] == ["Be brief.\n\nCapital of France?", "Be kind.\n\nCapital of France?"]
    _, apart, _ = gather(items, system="apart")
    assert [query.text for query in apart] == ["Capital of France?"] * 2
    assert [query.extra for query in apart] == [{"system": "Be brief."}, {"system": "Be kind."}]
    assert len({query.id for query in apart}) == 2


def test_kinds_are_named_by_how_system_prompts_begin() -> None:
    assert name_systems({"Be brief.": 3}) == {}
    long = "Classify the ticket of a customer into one of these: "
    names = name_systems({long + "a": 3, long + "b": 2, "": 1})
    begin = "Classify the ticket of a customer into o ..."
    assert names == {long + "a": begin, long + "b": f"{begin} (2)", "": "no system prompt"}
    many = name_systems({f"prompt {n}": n for n in range(40)})
    assert len(set(many.values())) == 13 and many["prompt 0"] == OTHERS and many["prompt 39"] == "prompt 39"


def test_the_whole_reply_is_the_label_where_the_task_takes_it_for_one(tmp_path: Path) -> None:
    thought = {"role": "assistant", "content": "so the answer is: 4", "reasoning_content": "2 + 2"}
    items = read(write(tmp_path / "a.jsonl", ask("2+2?", thought)))
    (whole,) = gather(items)[2].values()
    assert whole.whole and (whole.answer, whole.rationale) == ("so the answer is: 4", "2 + 2")
    (part,) = gather(items, label="read")[2].values()
    assert part.answer is None and part.raw == "<think>2 + 2</think>\nso the answer is: 4"


def test_a_flagged_trace_is_looked_through_once_a_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = {"role": "system", "content": "Once, help. Mail help@x.org"}
    rows = [{"messages": [system, {"role": "user", "content": f"Once, is a{n}@x.org in?"}, SAID]} for n in range(20)]
    items = read(write(tmp_path / "a.jsonl", *rows))
    looked: list[str] = []
    mails = next(kind for kind in PERSONAL_KINDS if kind.name == "email")

    def note(text: str) -> bool:
        looked.append(text)
        return mails.may(text)

    monkeypatch.setattr("engine.personal.PERSONAL_KINDS", [dataclasses.replace(mails, may=note)])
    tally, queries, _ = gather(items, personal="mask")
    assert tally.flagged == 20 and all("help. Mail [email 1]" in query.text for query in queries)
    assert sorted(text for text in looked if "Once" in text) == sorted(
        {turn.text for item in items if item.trace is not None for turn in item.trace.turns}
    )


def test_a_model_named_after_a_person_is_personal_data_too(tmp_path: Path) -> None:
    items = read(write(tmp_path / "a.jsonl", ask("Is it on?", model="ann@example.com")))
    assert gather(items)[0].flagged == 1
    tally, _, kept = gather(items, personal="mask")
    assert list(tally.models) == ["email 1"] and [name for name, _ in kept] == ["email 1"]


def test_a_gold_label_counts_once_however_far_apart_its_query_recurs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.traces.gathering._BLOCK", 2)
    rows = [{"input": f"Is {n} even?", "ideal": ideal} for n, ideal in ((2, "yes"), (4, "yes"), (2, "no"), (4, "yes"))]
    gatherer = Gatherer(TraceOrder(), get_task("custom"))
    blocks = list(gatherer.blocks(iter(read(write(tmp_path / "a.jsonl", *rows)))))
    assert [list(block.golds.values()) for block in blocks] == [["yes", "yes"], []]


def test_names_of_models_are_made_teachers_names() -> None:
    assert name_model("ft:gpt-4o:acme::x\n\t<b>") == "ft:gpt-4o:acme::x b"
    assert name_model("\x00\x1b[31m") == "31m" and len(name_model("x" * 500)) == 60
