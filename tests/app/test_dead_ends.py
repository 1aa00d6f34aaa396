"""Where a person can't go on the page says so in words, and offers a way: addresses, fields, errors of libraries."""

from __future__ import annotations

import re
import shutil
import ssl
from collections.abc import Iterator
from inspect import isgenerator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.hosted_demo.policy import Own
from app.web.forms import Entered, NamedForm
from app.web.frame import Frame
from engine.errors import InputError
from tests.app.studio import PAGES, Studio, open_studio

RAW = re.compile(
    r"Traceback|Error:|Exception|Value error|String should|Input should|NoneType|pydantic|duckdb|httpx|ssl:|Errno"
)
NOBODY = "nobody's project"


@pytest.fixture(scope="module")
def studio(embedded_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("ends") / "workspace"
    shutil.copytree(embedded_workspace, folder)
    with open_studio(folder) as opened:
        yield opened


def look(studio: Studio, page: str, name: str) -> list[Any]:
    """What opening a page gives its components, layout too, which a client of the API is not told."""
    found = [fn.fn for fn in studio.app.fns.values() if fn.fn is not None and fn.fn.__name__ == "load"]
    return list(found[PAGES.index(page)](name))


def is_hidden(part: Any) -> bool:
    return getattr(part, "visible", True) is False


@pytest.mark.parametrize("page", PAGES)
def test_an_address_that_names_no_project_opens_none(studio: Studio, page: str) -> None:
    name, rail, strip, _, lost, body, *_ = look(studio, page, NOBODY)
    assert name == NOBODY, "it is no other project's page"
    assert "No such project" in lost and "nobody&#x27;s project" in lost and "href='/'" in lost
    assert "/data" not in rail and strip == ""
    assert is_hidden(body) is (page not in ("home", "jobs"))


@pytest.mark.parametrize("page", PAGES)
def test_an_address_without_a_project_opens_the_newest(studio: Studio, page: str) -> None:
    name, rail, _, _, lost, body, *_ = look(studio, page, "")
    assert name == "p" and "/data?project=p" in rail and lost == "" and not is_hidden(body)


def test_a_project_that_is_removed_meanwhile_is_told_by_open_tabs(studio: Studio) -> None:
    ticks = [fn for fn in studio.app.fns.values() if fn.fn is not None and fn.fn.__name__ == "tick"]
    _, _, _, lost, body, *_ = next(fn for fn in ticks if fn.page == "label").fn(NOBODY)
    assert "No such project" in lost and is_hidden(body)


def of_the_address(studio: Studio) -> list[Any]:
    """Handlers that are given the project of the address first."""
    loads = {fn.inputs[0]._id for fn in studio.app.fns.values() if fn.fn is not None and fn.fn.__name__ == "load"}
    found = [fn for fn in studio.app.fns.values() if fn.fn is not None and fn.inputs and fn.inputs[0]._id in loads]
    own = ("home", "jobs")
    return [
        fn for fn in found if fn.fn.__name__ not in ("load", "tick") and fn.fn.__module__.rpartition(".")[2] not in own
    ]


@pytest.mark.parametrize("name", [NOBODY, ""])
def test_no_handler_works_on_another_project_instead(studio: Studio, name: str) -> None:
    handlers = of_the_address(studio)
    assert len(handlers) > 70
    for fn in handlers:
        place = f"{fn.fn.__module__}.{fn.fn.__name__}"
        told: Any = None
        try:
            told = fn.fn(name, *[None] * (len(fn.inputs) - 1))
            told = list(told) if isgenerator(told) else told
        except gr.Error as error:
            told = str(error)
        refused = isinstance(told, str) and ("No such project" in told or "Create a project first" in told)
        parts = told if isinstance(told, list) else [told]
        left_alone = all(isinstance(part, dict) and set(part) == {"__type__"} for part in parts)
        assert refused or left_alone, place


def say_of(fn: Any, values: list[Any]) -> str:
    """What a person reads when a handler is given such values; "" where it works with them."""
    try:
        told = fn.fn(*values)
        list(told) if isgenerator(told) else None
    except gr.Error as error:
        return str(error)
    return ""


@pytest.mark.parametrize("junk", [None, "", "?", -1, ["?"]])
def test_no_handler_answers_junk_in_a_librarys_words(studio: Studio, junk: Any) -> None:
    refused = 0
    for fn in of_the_address(studio):
        said = say_of(fn, ["p", *[junk] * (len(fn.inputs) - 1)])
        assert not RAW.search(said), f"{fn.fn.__module__}.{fn.fn.__name__}: {said}"
        refused += bool(said)
    assert refused > 20


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("compress", "by_rule", "p", "", "", None, "", None), "give a whole number of at least 1; the field is"),
        (("compress", "by_rule", "p", "", "", None, "", 0), "give a whole number of at least 1; 0 was given"),
        (("data", "resemble", "p", None), "give a number from 0.5 to 1; the field is empty"),
        (("data", "resemble", "p", 7), "give a number from 0.5 to 1; 7 was given"),
        (("data", "resemble", "p", "near"), "give a number from 0.5 to 1"),
        (("label", "show_quote", "p", ["nobody"], False, "process", "", ""), "load the page again"),
    ],
)
def test_a_field_says_what_it_takes(studio: Studio, call: tuple[Any, ...], told: str) -> None:
    said = studio.refused(*call)
    assert told in said and "Nothing was done" in said and not RAW.search(said)


def in_frame(studio: Studio) -> Frame:
    return Frame(studio.services, None, None, None, None, "private", Own(studio.services))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputError("The file is <empty>."), "The file is &lt;empty&gt;."),
        (RuntimeError("secret sk-123 at 0x7f"), "did not foresee"),
        (ssl.SSLCertVerificationError("ssl:default"), "certificate"),
        (ConnectionRefusedError(111, "Errno 111"), "nothing answers"),
        (OSError(28, "No space left on device"), "The disk is full"),
        (MemoryError("std::bad_alloc"), "memory"),
    ],
)
def test_what_a_library_says_is_never_shown(studio: Studio, error: Exception, told: str) -> None:
    def fail(project: str) -> None:
        raise error

    def fail_later(project: str, entered: Entered[dict[str, str]]) -> Iterator[str]:
        yield "so far"
        raise error

    frame = in_frame(studio)
    with pytest.raises(gr.Error) as caught:
        frame.guard(fail)("p")
    assert told in str(caught.value) and "sk-123" not in str(caught.value) and not RAW.search(str(caught.value))
    with pytest.raises(gr.Error, match=told):
        list(frame.guard_stream(fail_later, NamedForm({}, dict))("p"))
