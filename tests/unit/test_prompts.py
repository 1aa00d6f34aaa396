from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.errors import ConfigError, NotFound
from engine.prompts import PROMPT_FOLDER, UNSOUND, Prompt, load_prompt, make_prompt

LOCK = Path(__file__).parent / "prompts.lock.json"


def published() -> dict[str, Prompt]:
    prompts = {}
    for path in sorted(PROMPT_FOLDER.glob("*/*.md")):
        task, version = path.stem.rsplit(".v", 1)
        prompt = load_prompt(path.parent.name, task, int(version))
        prompts[prompt.name] = prompt
    return prompts


def test_a_published_version_never_changes() -> None:
    """To publish a changed prompt, give it a new file with the next version and add its hash to the lock."""
    locked = json.loads(LOCK.read_text("utf-8"))
    assert {name: prompt.hash for name, prompt in published().items()} == locked


def test_every_task_has_a_teacher_prompt_with_its_variables() -> None:
    found = published()
    for name in ("choice", "math", "custom"):
        assert set(found[f"teacher/{name}.v1"].variables) == {"query", "factors"}
    for name, prompt in found.items():
        system, user = prompt.render(**dict.fromkeys(prompt.variables, "FILLED"))
        assert system and user, name
        assert "{{" not in system + user
        assert "FILLED" in user


def test_holes_are_filled_once_so_that_values_stay_text() -> None:
    prompt = Prompt("r", "t", 1, ("a", "b"), "S {{ a }}\n=====\nU {{ b }} {{ a }}")
    assert prompt.render(a="{{ b }}", b="\n=====\n") == ("S {{ b }}", "U \n=====\n {{ b }}")


@pytest.mark.parametrize("values", [{}, {"a": "1"}, {"a": "1", "b": "2", "c": "3"}])
def test_values_must_be_the_declared_ones(values: dict[str, str]) -> None:
    prompt = Prompt("r", "t", 1, ("a", "b"), "{{ a }}\n=====\n{{ b }}")
    with pytest.raises(ConfigError, match=r"r/t\.v1"):
        prompt.render(**values)


def test_an_unknown_prompt_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"teacher/poetry\.v1"):
        load_prompt("teacher", "poetry")
    with pytest.raises(NotFound):
        load_prompt("teacher", "choice", 999)


def test_the_hash_follows_the_text_alone() -> None:
    one = Prompt("r", "t", 1, (), "text")
    assert one.hash == Prompt("other", "name", 2, ("x",), "text").hash
    assert one.hash != Prompt("r", "t", 1, (), "text ").hash


def test_the_mark_of_an_unsound_rationale_is_stable() -> None:
    assert UNSOUND == "(not sound: "


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ query }} {{ factors }}", "====="),
        ("{{ factors }}\n=====\n{{ query }}\n=====\n", "====="),
        ("{{ factors }} {{ query }}\n=====\n ", "====="),
        ("{{ factors }}\n====\n{{ query }}", "====="),
        ("{{ factors }}\n=====\nsay it", "lacks {{ query }}"),
        ("{{ factors }} {{ gold }}\n=====\n{{ query }}", "{{ gold }}"),
    ],
)
def test_a_prompt_of_ones_own_has_the_published_holes_and_two_parts(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        make_prompt("teacher", "custom", 2, text)
    own = make_prompt("teacher", "custom", 2, "Score {{ factors }}.\n=====\n{{ query }}")
    assert own.render(query="why?", factors="clarity") == ("Score clarity.", "why?")
