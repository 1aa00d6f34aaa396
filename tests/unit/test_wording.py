"""What is wrong is told in words a person knows, and numbers go with their nouns."""

from __future__ import annotations

import errno
import re
from typing import Any

import httpx2
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from hypothesis import given
from hypothesis import strategies as st

from engine.config import ProjectConfig, StudentConfig, TeacherConfig, TrainConfig, read_config
from engine.errors import ConfigError, StateError, say_hub_error
from engine.plans import Plan
from engine.selection.settings import SelectionConfig
from engine.wording import counted, range_text, verb

RAW = re.compile(r"Value error|String should|Input should|Field required|Extra inputs|[A-Z][a-z]+Config|pydantic|ctx")
TEACHER = {"name": "ann", "provider": "openai", "model": "m"}


def refusal(model: Any, values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(model, values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "values", "told"),
    [
        (ProjectConfig, {"name": "", "task": "math"}, "A project needs a name"),
        (ProjectConfig, {"task": "math"}, "A project needs a name"),
        (ProjectConfig, {"name": "x" * 101, "task": "math"}, "name: take at most 100 characters"),
        (TeacherConfig, {**TEACHER, "name": ""}, "A teacher needs a name"),
        (TeacherConfig, {**TEACHER, "model": ""}, "A teacher needs the name of its model"),
        (TeacherConfig, {**TEACHER, "name": "a/b"}, "letters, digits, spaces"),
        (TeacherConfig, {**TEACHER, "temperature": 3}, "temperature: give a number from 0 to 2"),
        (TeacherConfig, {**TEACHER, "top_p": 0}, "top_p: give a number above 0 up to 1"),
        (TeacherConfig, {**TEACHER, "draws": 1.5}, "draws: give a whole number from 1 to 100"),
        (TeacherConfig, {**TEACHER, "timeout_s": "soon"}, "timeout_s: give a number above 0 up to 3,600"),
        (TeacherConfig, {**TEACHER, "requests_per_minute": "many"}, "requests_per_minute: give a whole number above 0"),
        (TeacherConfig, {**TEACHER, "endpoint": "nowhere"}, "the endpoint must be a URL"),
        (TeacherConfig, {**TEACHER, "input_price": 1}, "give both prices"),
        (SelectionConfig, {"treshold": 0.5}, "treshold: there is no such setting"),
        (SelectionConfig, {"weights": {"answer": "x"}}, "weights.answer: give a number"),
        (TrainConfig, {"mask_prompt": "perhaps"}, "mask_prompt: give yes or no"),
        (StudentConfig, {"lora": {"rank": 0}}, "lora.rank: give a number above 0"),
        (StudentConfig, {"lora": 5}, "lora: it is not of the form"),
        (Plan, {"name": "p", "steps": [{"kind": "train", "name": "../x"}]}, "not of the form"),
    ],
)
def test_a_wrong_setting_is_told_in_words(model: Any, values: dict[str, Any], told: str) -> None:
    said = refusal(model, values)
    assert told in said
    assert not RAW.search(said)


def test_what_was_typed_is_not_repeated() -> None:
    secret = "sk-0123456789abcdef"
    assert secret not in refusal(TeacherConfig, {**TEACHER, "key_variable": secret, "requests_per_minute": secret})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*TeacherConfig.model_fields, "colour"]), JSON, min_size=1))
def test_no_value_of_any_setting_is_answered_in_a_librarys_words(values: dict[str, Any]) -> None:
    said = refusal(TeacherConfig, {**TEACHER, "colour": 1, **values})
    assert said and not RAW.search(said)


@pytest.mark.parametrize(
    ("number", "noun", "told"),
    [
        (1, "query", "1 query"),
        (0, "query", "0 queries"),
        (2000, "query", "2,000 queries"),
        (1, "sample", "1 sample"),
        (2, "sample", "2 samples"),
        (2, "reply", "2 replies"),
        (2, "key", "2 keys"),
        (3, "class", "3 classes"),
        (3, "box", "3 boxes"),
    ],
)
def test_numbers_go_with_their_nouns(number: int, noun: str, told: str) -> None:
    assert counted(number, noun) == told


def test_verbs_follow_too() -> None:
    assert [verb(n, "is") for n in (0, 1, 2)] == ["are", "is", "are"]
    assert [verb(n, "lacks") for n in (1, 2)] == ["lacks", "lack"]


def test_ranges_read_well() -> None:
    assert range_text(0, 2) == " from 0 to 2"
    assert range_text(0, 1, above=True) == " above 0 up to 1"
    assert range_text(0, None, above=True) == " above 0"
    assert range_text(None, 5) == " of at most 5"
    assert range_text(None, None) == ""


def answered(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "https://huggingface.co/secret/path"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RepositoryNotFoundError("404 https://huggingface.co/secret", response=answered(404)),
            "the Hub has none of that name",
        ),
        (GatedRepoError("401 https://huggingface.co/secret", response=answered(401)), "accepted its terms"),
        (HfHubHTTPError("secret words", response=answered(403)), "the token may not do that"),
        (HfHubHTTPError("secret words", response=answered(503)), "the Hub answered with status 503"),
        (ConnectionRefusedError(111, "secret words"), "the Hub can't be reached: nothing answers at that address"),
        (OSError(errno.ENOSPC, "secret words"), "The disk is full"),
        (ValueError("Unrecognized model in secret"), "its files are damaged, incomplete, or of a kind"),
    ],
)
def test_what_failed_with_the_hub_is_told_in_our_words(error: Exception, told: str) -> None:
    wrapped = OSError("secret: we couldn't connect")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        said = say_hub_error(one)
        assert told in said and "secret" not in said


def test_our_own_words_stay_as_they_are() -> None:
    assert say_hub_error(StateError("said by us")) == "said by us"
