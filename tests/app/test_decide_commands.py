"""`tacit decide` and `tacit teachers prompt`: what a person decides on the pages, from the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app as tacit
from app.services import open_services
from app.web.pages.decide import _as_commands
from engine.errors import InputError, NotFound


@pytest.fixture
def workspace(embedded_workspace: Path, tmp_path: Path) -> Iterator[Path]:
    """Project `p`, selected once, in a folder that nobody has open."""
    yield Path(shutil.copytree(embedded_workspace, tmp_path / "copy"))


@pytest.fixture
def run(workspace: Path) -> Callable[..., str]:
    """Runs a command on it and gives what it prints."""

    def invoke(*words: str) -> str:
        return CliRunner().invoke(tacit, [*words, "--workspace", str(workspace)], catch_exceptions=False).stdout

    return invoke


def samples_of(workspace: Path, search: str = "") -> list[dict[str, Any]]:
    """The samples of the first query."""
    with open_services(workspace) as services:
        (first, *_) = services.browse.page("p", search, "", "", 1).rows
        return services.browse.detail("p", first["id"]).samples


def kept_of(workspace: Path) -> dict[str, bool]:
    return {row["id"]: row["reason"].startswith("kept") for row in samples_of(workspace)}


def test_samples_are_kept_dropped_and_given_back(workspace: Path, run: Callable[..., str]) -> None:
    before = kept_of(workspace)
    one, two, *_ = before
    assert run("decide", "drop", "p", one, two) == "dropped 2 samples by hand\n"
    assert not any(kept_of(workspace)[sample] for sample in (one, two))
    assert run("decide", "keep", "p", one) == "kept 1 sample by hand\n"
    assert kept_of(workspace)[one]
    assert [run("decide", "undo", "p") for _ in range(3)] == [
        "undone: keep of 1 sample\n",
        "undone: drop of 2 samples\n",
        "nothing to undo\n",
    ]
    assert kept_of(workspace) == before


def test_what_the_options_find_is_decided_at_once(workspace: Path, run: Callable[..., str]) -> None:
    teacher = samples_of(workspace)[0]["teacher"]
    run("decide", "drop", "p", "--teacher", teacher)
    with open_services(workspace) as services:
        of_teacher = services.browse.matching("p", "", "", teacher)
        by_hand = services.browse.matching("p", "", "by hand", teacher)
        assert sorted(by_hand) == sorted(of_teacher) != []
    for words, error, message in (
        ((), InputError, "name samples by their ids, or find them"),
        (("--filter", "odd"), InputError, "no filter odd; there are all, labels differ"),
        (("nobody",), NotFound, "p has no sample nobody; nothing was decided"),
        (("nobody", "--teacher", teacher), InputError, "not both"),
    ):
        with pytest.raises(error, match=message):
            run("decide", "keep", "p", *words)


def test_a_sample_takes_anothers_place_and_is_edited(workspace: Path, run: Callable[..., str], tmp_path: Path) -> None:
    kept = kept_of(workspace)
    stays, goes = next(s for s, k in kept.items() if not k), next(s for s, k in kept.items() if k)
    run("decide", "swap", "p", stays, goes)
    assert (kept_of(workspace)[stays], kept_of(workspace)[goes]) == (True, False)
    (tmp_path / "own.txt").write_text("Twice two makes four.\n", "utf-8")
    assert run("decide", "edit", "p", stays, str(tmp_path / "own.txt")).startswith("edit ")
    assert next(row for row in samples_of(workspace) if row["id"] == stays)["rationale"] == "Twice two makes four."
    (tmp_path / "odd.txt").write_bytes(b"\xff\xfe4")
    with pytest.raises(InputError, match=r"odd\.txt: this is not UTF-8"):
        run("decide", "edit", "p", stays, str(tmp_path / "odd.txt"))
    with pytest.raises(InputError, match="No such file"):
        run("decide", "edit", "p", stays, str(tmp_path / "none.txt"))


def test_the_page_gives_the_commands_that_decide_as_it_shows(workspace: Path) -> None:
    rows = samples_of(workspace)
    kept = [row["id"] for row in rows if row["reason"].startswith("kept")]
    others = [row["id"] for row in rows if row["id"] not in kept]
    shown = _as_commands("p", rows)
    assert f"tacit decide keep p {' '.join(kept)}" in shown and f"tacit decide drop p {' '.join(others)}" in shown
    assert _as_commands("p", [{**row, "reason": ""} for row in rows]) == "", "nothing was selected, so nothing is kept"


def test_a_prompt_is_printed_and_saved(workspace: Path, run: Callable[..., str], tmp_path: Path) -> None:
    file, shown = tmp_path / "prompt.txt", run("teachers", "prompt", "p")
    file.write_text(shown, "utf-8")
    assert "{{ query }}" in shown and "version 1 is" in run("teachers", "prompt", "p", "--save", str(file))
    file.write_text(shown.replace("{{ query }}", "Now this:\n{{ query }}"), "utf-8")
    assert "version 2 is" in run("teachers", "prompt", "p", "--save", str(file))
    assert "Now this:\n{{ query }}" in run("teachers", "prompt", "p")
    assert run("teachers", "prompt", "p", "--version", "1") == shown
    with pytest.raises(InputError, match="no version 9 of the prompt; there are 1, 2"):
        run("teachers", "prompt", "p", "--version", "9")
