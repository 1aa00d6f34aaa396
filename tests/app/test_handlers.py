"""Every handler of every page, called over HTTP as a page calls it: one session, step by step through this file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import handle_file

from app.usecases.data import stored_queries
from app.web.pages.teachers import _FIELDS, _read_given
from engine.errors import Conflict
from engine.selection.settings import NONE, dcrs
from engine.tasks import ROLES, get_task
from tests.app.forms import make_form, send_settings
from tests.app.studio import PAGES, Studio, open_studio
from tests.fakes.provider import KEY

UNEVEN = {"reasoning": 0.4, "answer": 0.4, "clarity": 0.2}
SETTINGS = send_settings(dcrs(weights=UNEVEN))
CHOICES = json.dumps({"A": "x", "B": "y"})


@pytest.fixture(scope="module")
def studio(embedded_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio") / "workspace"
    shutil.copytree(embedded_workspace, folder)
    with open_studio(folder) as opened:
        yield opened


def test_projects(studio: Studio) -> None:
    assert studio("projects", "create", "tickets", "choice", "packaged") == "tickets"
    assert "already" in studio.refused("projects", "create", "tickets", "choice", "packaged")
    assert "tickets" in studio("projects", "show", False)
    studio.open("projects", "p")
    said, listed, _ = studio("projects", "duplicate", "p", "twin")
    assert "twin" in said and "twin" in listed
    assert "twin" not in studio("projects", "archive", "twin")[1]
    assert "twin" in studio("projects", "restore", "twin")[1]
    said, written = studio("projects", "export", "twin", False)
    written = written["value"]
    assert "never a key" in said and Path(written).stat().st_size > 1000
    assert "again is imported" in studio("projects", "take", handle_file(written), "again")[0]
    assert studio("projects", "begin_afresh", "again") == "again, run 1"
    assert "Choose a project" in studio.refused("projects", "export", None, False)
    assert "A project needs a name" in studio.refused("projects", "create", " ", "choice", "packaged")
    assert "no longer available" in studio.refused("projects", "create", "x", "sums", "packaged")
    assert "A project needs a name" in studio.refused("projects", "duplicate", "p", "")
    studio("projects", "fits", "p")
    studio("projects", "<lambda>", None)


def given(**columns: str) -> list[str]:
    """What the page's lists of columns hold, in the order of the roles."""
    return [columns.get(role, "- none -") for role in ROLES]


def test_data(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "up.csv"
    good = [f'"query {n}?","{CHOICES.replace(chr(34), chr(34) * 2)}",B' for n in range(6)]
    path.write_text("\n".join(["question,choices,answerKey", *good, '"",x,A', '"query 9?",no json,A']) + "\n")
    file, many = handle_file(str(path)), len(ROLES)
    columns = studio("data", "arrive", "tickets", file, 0.0)
    found = dict(zip(ROLES, columns[1 : 1 + many], strict=True))
    assert [found[role]["value"] for role in ("query", "choices", "gold")] == ["question", "choices", "answerKey"]
    assert "6 queries ready" in columns[1 + many] and "2 rows need you" in columns[1 + many]
    looked = studio("data", "preview", "tickets", file, "", 0.0, *given(query="question", choices="choices"))
    assert "6 queries ready" in looked[many]
    studio("data", "can_look", "tickets", file, "")
    assert "Drop a file first" in studio.refused("data", "preview", "tickets", None, "", 0.0, *given())
    chosen = given(query="question", choices="choices", gold="answerKey")
    said, held = studio("data", "store", "tickets", file, "", 0.0, *chosen)
    assert "6 queries added" in said and "6 queries to distill from" in held
    studio("data", "<lambda>")
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("Frage,Loesung\nWas ist 1+1?,2\n")
    other = handle_file(str(foreign))
    studio("projects", "create", "foreign", "custom", "packaged")
    asked = studio("data", "arrive", "foreign", other, 0.0)
    offered = [[name for name, _ in column["choices"]] for column in asked[1 : 1 + many]]
    assert offered == [["- none -", "Frage", "Loesung"]] * many
    shown = {role for role, column in zip(ROLES, asked[1 : 1 + many], strict=True) if column["visible"]}
    assert shown == {role.name for role in get_task("custom").roles}
    asks, head = asked[1 + many : 3 + many]
    assert "Which column holds the queries?" in asks and "--" not in asks and "Was ist 1+1?" in head
    chosen = studio("data", "choose", "foreign", other, "", 0.0, *given(query="Frage"))
    assert "1 query ready" in chosen[0]
    assert "1 query added" in studio("data", "store", "foreign", other, "", 0.0, *given(query="Frage"))[0]
    assert studio("data", "forget", "foreign")[many] == ""
    assert "pairs are that close" in studio("data", "resemble", "tickets", 0.6)


def teacher(url: str, **changes: Any) -> list[Any]:
    values = {
        "name": "ann",
        "provider": "openai",
        "model": "fake-small",
        "endpoint": f"{url}/v1",
        "key_variable": "STUDIO_KEY",
        "temperature": 0,
        "top_p": 0.95,
        "max_tokens": 100,
        "concurrency": 2,
        "draws": 1,
        "requests_per_minute": "",
        "tokens_per_minute": "",
        "timeout_s": 20,
        "input_price": "1",
        "output_price": "$2",
    }
    return [(values | changes)[name] for name in _FIELDS]


def test_teachers(studio: Studio) -> None:
    studio.open("teachers", "tickets")
    new, url = "- a new one -", studio.provider.url
    draft = teacher(url, key_variable="STUDIO_KEY")
    tried = studio("teachers", "probe", "tickets", *draft, KEY)[0]
    assert "ann answers" in tried and "not saved yet" in tried
    unnamed = teacher(url, name="", model="")
    assert "fake-large" in studio("teachers", "offer", "tickets", *unnamed, KEY)
    assert "needs a name" in studio.refused("teachers", "probe", "tickets", *unnamed, KEY)
    assert studio.services.teachers.list_all("tickets") == [], "asking stores no teacher"
    assert "STUDIO_KEY" in studio.refused("teachers", "probe", "tickets", *draft, ""), "and no key"
    said, listed, _, key, seen = studio("teachers", "store", "tickets", *teacher(url), KEY, new, "")
    assert "ann is saved" in said and "STUDIO_KEY is set" in listed and key == "" and KEY not in listed + said + seen
    shown = studio("teachers", "choose", "tickets", "ann")
    assert shown[_FIELDS.index("model")] == "fake-small" and seen in shown
    assert [shown[_FIELDS.index(name)] for name in ("output_price", "requests_per_minute")] == ["2", ""]
    paced = studio("teachers", "store", "tickets", *teacher(url, requests_per_minute="60,000"), "", "ann", seen)
    assert studio.services.teachers.get("tickets", "ann").requests_per_minute == 60_000
    seen = studio("teachers", "store", "tickets", *teacher(url), "", "ann", paced[4])[4]
    assert studio("teachers", "probe", "tickets", *draft, "")[0].endswith("ann answers.</div>")
    assert "2 models" in studio("teachers", "offer", "tickets", *draft, "")
    saved = studio("teachers", "store", "tickets", *teacher(url, max_tokens=200), "", "ann", seen)
    assert saved[4] != seen
    told = studio.refused("teachers", "store", "tickets", *teacher(url, max_tokens=300), "", "ann", seen)
    assert "Nothing was overwritten" in told
    assert studio.services.teachers.get("tickets", "ann").sampling.max_tokens == 200
    studio("teachers", "store", "tickets", *teacher(url, name="bob", key_variable=""), "", new, "")
    assert "Choose the teacher" in studio.refused("teachers", "ask_drop", "tickets", new)
    assert "Remove bob" in studio("teachers", "ask_drop", "tickets", "bob")
    studio("teachers", "keep", "tickets")
    assert "bob" in {row["name"] for row in studio.services.teachers.list_all("tickets")}, "asking removes nothing"
    assert "bob" not in studio("teachers", "drop", "tickets", "bob")[1]
    studio("teachers", "<lambda>", "local")


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        ({"key_variable": ""}, KEY, "fill in the field Variable of the key"),
        ({"provider": "local", "model": "/models/x"}, KEY, "leave the field Key empty"),
        ({"name": ""}, KEY, "A teacher needs a name"),
        ({"model": ""}, "", "A teacher needs the name of its model"),
        ({"endpoint": "nowhere"}, "", "must be a URL"),
        ({"temperature": None}, "", "Temperature: give a number from 0 to 2; the field is empty"),
        ({"draws": 0}, "", "Samples a query: give a whole number from 1 to 100; 0 was given"),
        ({"requests_per_minute": "-1"}, "", "Requests a minute: give a whole number above 0, or leave it empty"),
        ({"requests_per_minute": "1.5"}, "", "Requests a minute: give a whole number above 0"),
        ({"tokens_per_minute": "many"}, "", "Tokens a minute: give a whole number above 0"),
        ({"input_price": "nan"}, "", "US $ a million tokens in: give a number from 0 to 100,000"),
        ({"top_p": 0}, "", "top_p: give a number above 0 up to 1"),
        ({"output_price": ""}, "", "give both prices"),
    ],
)
def test_a_teacher_is_saved_with_its_key_or_not_at_all(
    studio: Studio, changes: dict[str, Any], key: str, told: str
) -> None:
    before = studio.services.teachers.list_all("tickets")
    values = teacher(studio.provider.url, **{"name": "eve", "key_variable": "EVES_API_KEY", **changes})
    studio.open("teachers", "tickets")
    said = studio.refused("teachers", "store", "tickets", *values, key, "- a new one -", "")
    assert told in said and KEY not in said
    assert studio.services.teachers.list_all("tickets") == before
    assert studio.services.teachers.connections.keys.of("EVES_API_KEY") == ""


def test_a_key_is_as_it_was_where_the_teacher_was_changed_elsewhere(studio: Studio) -> None:
    keys, seen = studio.services.teachers.connections.keys, studio.services.teachers.mark("tickets", "ann")
    values = _read_given(dict(zip(_FIELDS, teacher(studio.provider.url), strict=True)))
    with pytest.raises(Conflict):
        studio.services.teachers.add("tickets", values, f"{seen}, but older", "another key")
    assert keys.find(studio.services.teachers.get("tickets", "ann")) == KEY


def test_recorded_outputs_and_prompts(studio: Studio, tmp_path: Path) -> None:
    outputs = tmp_path / "old.jsonl"
    rows = [{"query": f"query {n}?", "rationale": "so it is", "answer": "B"} for n in range(4)]
    outputs.write_text("\n".join(map(json.dumps, [*rows, {"query": "nobody asks"}])))
    studio.open("teachers", "tickets")
    assert "Drop a file" in studio.refused("teachers", "bring", "tickets", None, "")
    said, listed, _ = studio("teachers", "bring", "tickets", handle_file(str(outputs)), "old")
    assert (
        "4 outputs of 1 teacher imported, all of them read." in said
        and "1 row left out" in said
        and "recorded" in listed
    )
    chosen = studio("teachers", "choose", "tickets", "old")
    assert "it can be removed, not changed" in chosen[-1]
    assert "lacks {{ query }}" in studio.refused("prompts", "save", "tickets", "{{ factors }}", "1")
    text = "Be brief; score {{ factors }}.\n=====\n{{ query }}"
    assert "Version 2 counts" in studio("prompts", "save", "tickets", text, "1")[0]
    assert "Nothing was overwritten" in studio.refused("prompts", "save", "tickets", f"{text} Please.", "1")
    studio("prompts", "can_save", "tickets", text)
    assert "query 0?" in studio("prompts", "preview", "tickets", text)
    assert studio("prompts", "pick", "tickets", 2)[0] == text
    assert studio.services.prompt.versions("tickets")[2] == text


def test_label(studio: Studio) -> None:
    studio.open("label", "tickets")
    order = ["tickets", ["ann"], False, "process"]
    assert "ann" in studio("label", "ask_quote", *order, "", "")
    assert "give a cap in US dollars" in studio.refused("label", "begin", *order, "lots", "")
    assert "at least one teacher" in studio.refused("label", "begin", "tickets", [], False, "process", "", "")
    assert "Started" in studio("label", "begin_pilot", *order, "5", "")[0]
    studio.finish()
    assert "measured on 5" in studio("label", "ask_quote", *order, "", "")
    studio.provider.faults = {"query 5?": ["prose"]}
    studio("label", "begin", *order, "5", "100")
    studio.finish()
    project = studio.services.context.projects.get("tickets")
    assert studio.services.context.samples.counts(project.id)[0] == {"teacher": "ann", "samples": 5, "failures": 1}
    assert "ann: 0 of 1 can be read now" in studio("label", "parse_again", "tickets")
    asked = len(studio.provider.seen)
    studio("label", "begin_retry", *order, "5", "", "timeout")
    studio.finish()
    assert len(studio.provider.seen) == asked, "what failed otherwise is not asked again"
    assert studio.services.context.samples.counts(project.id)[0]["failures"] == 1
    studio("label", "begin_retry", *order, "5", "", "any")
    studio.finish()
    assert studio.services.context.samples.counts(project.id)[0]["failures"] == 0
    assert "Nothing is running" in studio("label", "stop", "tickets")
    assert "Quote of the grades" in studio("label", "quote_grades", *order, "", "")
    assert "Started" in studio("label", "begin_grading", *order, "5", "100")[0]
    studio.finish()
    graded = {row["teacher"]: row for row in studio.services.grade.standing(project)}
    assert graded["ann"] == {"teacher": "ann", "samples": 6, "Good": 6, "Medium": 0, "Poor": 0}
    assert "nothing to grade" in studio.refused("label", "begin_grading", *order, "", "")


def test_select(studio: Studio) -> None:
    studio.open("select", "p")
    assert "Samples kept" in studio("select", "choose", "p", *SETTINGS)[0]
    assert ">52</div><div class='note'>of 52 (100%)" in studio("select", "numbers", "p", *send_settings(NONE.config))[0]
    assert "no number is given" in studio("select", "numbers", "p", *send_settings(threshold=None))[0], (
        "as where it was cleared"
    )
    assert "no number is given" in studio.refused("select", "choose", "p", *send_settings(temperature=None))
    set_out = studio("select", "set_out", "p", "recordings")
    assert set_out[2] == 0.6 and set_out[5:7] == ("keep", "keep")
    studio("select", "set_out", "p", "custom")
    studio("select", "show_rules", "p", *send_settings(NONE.config, rules=["threshold"]))
    assert "a temperature needs 50" in studio.refused("select", "fit", "p", *SETTINGS)
    balanced = studio("select", "balance", "p", *send_settings(dcrs(weights=UNEVEN), reasoning=0.3), ["answer"])
    assert balanced[2] == 0.3, "clarity gives up and takes, answer is locked"
    assert "Samples kept" in balanced[len(make_form().weights)]
    ways, *plots = studio("select", "survey", "p", *SETTINGS)[1:]
    assert "keep all" in ways and len(plots) == 3
    assert "majority of labels" in ways and "hard rejection: graded Good: no sample has what it goes by" in ways


def test_decide(studio: Studio) -> None:
    def show(address: str = "?project=p", opened: str = "", chosen: str = "", seen: str = "") -> Any:
        return studio("decide", "show_page", "p", address, opened, chosen, seen)

    query, second = (row["id"] for row in studio.services.browse.page("p").rows[:2])
    samples = studio.services.browse.detail("p", query).samples
    first, other = samples[0]["id"], samples[1]["id"]
    listed, head, one, opened, chosen, text, seen, *_ = show()
    assert f"data-open='{query}'" in listed and "1-18 of 18 queries" in listed
    assert opened.startswith(query) and f"data-choose='{chosen}'" in one and "3 samples" in head
    assert seen == f"{chosen} 0" and text in {sample["rationale"] for sample in samples}
    assert (
        "No query matches" in show("?q=nobody+asks+this")[0]
        and show("?q=nobody+asks+this")[3] == " 1   nobody asks this"
    )
    assert show(f"?open={second}")[3].startswith(second), "what the address opens"
    assert show(opened=f"{second} 1   ")[3].startswith(second), "else what was open before in the same list"
    assert show("?show=edited", opened=f"{second} 1   ")[3].startswith(" "), "but not in another"
    assert "not there any more" in show("?open=gone")[1]
    on = ("p", "?project=p")
    assert studio("decide", "pick", *on, opened, other)[:2] == (samples[1]["rationale"], f"{other} 0")
    assert "Kept by hand" in studio("decide", "keep", *on, first)
    assert "Dropped by hand" in studio("decide", "drop", *on, first)
    assert "Swapped" in studio("decide", "swap", *on, first, other)
    assert "not kept, to swap it in" in studio.refused("decide", "swap", *on, first, other), "it is in already"
    assert "Nothing was decided" in studio.refused("decide", "keep", "p", f"?open={second}", first), "not seen yet"
    assert "Nothing was decided" in studio.refused("decide", "drop", *on, "")
    evil = "<img src=x onerror=alert(1)>"
    said, now = studio("decide", "edit", *on, first, evil, f"{first} 0")
    assert "Edit saved" in said and now.startswith(first)
    assert "Nothing was overwritten" in studio.refused("decide", "edit", *on, first, "mine", f"{first} 0")
    assert "Nothing was stored" in studio.refused("decide", "edit", *on, other, "mine", f"{first} 0")
    shown = studio("decide", "show_anew", *on, opened, first)
    assert "<img" not in shown[2] and shown[5] == evil and shown[6] == now
    assert "Drop 17 samples" in studio("decide", "ask_drop_all", *on, samples[0]["teacher"])[0]
    assert "Keep 17 samples" in studio("decide", "ask_keep_all", *on, samples[0]["teacher"])[0]
    studio("decide", "leave_all", "p")
    for action in ("keep", "drop"):
        assert "17 samples" in studio("decide", "decide_all", *on, samples[0]["teacher"], action)
    for _ in range(6):
        assert "Undone" in studio("decide", "undo", "p")
    assert "Nothing to undo" in studio("decide", "undo", "p")
    assert "Samples kept" in studio("decide", "numbers", "p", *SETTINGS)[0]


def test_the_frame(studio: Studio) -> None:
    for page in PAGES:
        shown = studio.open(page, "p")
        assert "Data" in shown[1] and len(json.dumps(shown)) < 1_000_000, "a page's first view stays small"
    rail, strip, *_ = studio("frame", "tick", "p")
    assert "Select" in rail and strip == ""


def test_stored_queries_are_searched_paged_and_read(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = studio.services.data.counts(studio.services.context.projects.get("p"))
    listed, one = studio("queries", "show_page", "p", "?project=p")
    assert f"of {sum(counts.values()):,} queries" in listed and "Choose a query" in one
    monkeypatch.setattr(stored_queries, "LISTED", 5)
    pages = [studio.services.queries.page("p", page=page) for page in (1, 2, 900)]
    assert [page.begin for page in pages] == [0, 5, 15] and {page.total for page in pages} == {sum(counts.values())}
    assert not {row["id"] for row in pages[0].rows} & {row["id"] for row in pages[1].rows}
    beyond, _ = studio("queries", "show_page", "p", "?page=900&sort=nonsense&show=nonsense")
    assert "No query matches" not in beyond, "a page that is not there is the last one"
    assert counts.keys() == {"distill"} and "0 queries" in studio("queries", "show_page", "p", "?show=heldout")[0]
    row = studio.services.browse.page("p").rows[0]
    nothing, whole = studio("queries", "show_page", "p", f"?q=no+such+words&open={row['id']}")
    assert "No query matches" in nothing and row["query"][:20] in whole
    assert "not there any more" in studio("queries", "show_page", "p", "?open=gone")[1]


def test_programs_may_read(studio: Studio) -> None:
    assert "p" in {row["name"] for row in studio("endpoints", "projects")}
    assert {row["step"] for row in studio("endpoints", "standing", "p")} > {"Data", "Label"}
    assert studio("endpoints", "quote", "tickets")[0]["teacher"] == "ann"
    assert studio("endpoints", "selection", "p", 0.0)["samples"] == 52
    assert "there is no project" in studio.refused("endpoints", "standing", "nobody")
    query = studio.services.browse.page("p").rows[0]
    assert studio("endpoints", "query", "p", query["id"])["query"].startswith(query["query"])


def test_every_handler_was_called(studio: Studio) -> None:
    assert studio.missing(first_half=True) == set()
