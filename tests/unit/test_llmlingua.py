"""LLMLingua-2: what is forced to stay, what is told where it can't run, and the check behind it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.compression import COMPRESSORS, CompressWork, Place, compress
from engine.compression.llmlingua_2 import (
    MODEL_VARIABLE,
    check,
    find_forced,
    find_lost,
    find_names,
    load,
    name_model,
    rewrite,
)
from engine.datasets.rows import Example
from engine.errors import ConfigError, MissingPart
from engine.jobs.inline import Heard
from engine.jobs.rewrite import rewrite_here
from engine.pipeline import Material, Pipeline
from engine.plans import Compress, Plan
from engine.ports import Task
from engine.tasks import get_task
from engine.values import ParsedReply, make_query

NAME = "llmlingua-2"
PACKAGES = Path(__file__).resolve().parents[1] / "fakes" / "packages"
TASK: Task = get_task("custom")
TEXT = (
    "First of all, Tom has 3 apples, and then the well-known Annabel gives him 4 more of them, so in the end we add: "
    "3 + 4 = 7. They cost 1,250.50 altogether."
)
QUERY = make_query("Tom has 3 apples. Annabel gives him 4. How many has Tom?")
WORK = CompressWork(Example(QUERY, "s1", TEXT, "7", teacher="ann"), None, None, words=9)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(PACKAGES))
    yield
    sys.modules.pop("llmlingua", None)


def of(model: str, work: CompressWork = WORK) -> ParsedReply | str:
    (made,) = rewrite(TASK, [work], Place(f"{model}-xlm-roberta-large", "cpu"))
    return made


def test_names_are_capitalised_words_that_no_sentence_explains() -> None:
    assert find_names(TEXT, QUERY.text) == ["Tom", "Annabel"]
    assert find_names("Then Ann wins. Then she rests.", "Who wins?") == ["Ann"]
    assert find_names("Élodie's cat. So it is.", "It is Élodie's cat, is it so?") == ["Élodie's"]
    assert find_names("Apples are red, and I like apples.", "Apples?") == ["I"]
    assert find_names("", "") == []


def test_operators_numbers_and_names_are_forced_and_never_a_part_of_another_word() -> None:
    assert find_forced(TEXT, QUERY.text) == ["1,250.50", "Annabel", "Tom", "+", "="]
    assert "-" in find_forced("7 - 2 = 5", "") and "-" not in find_forced("a well-known 7 - 2", "")
    assert find_forced("so Ann and Anna", "") == ["Anna", "Ann"], "the longer one is put in first"
    assert find_forced("so Ann and 2Ann and Bea", "") == ["Bea"]
    assert find_forced("1.5 and 11.5", "") == ["11.5", "1.5"]
    assert len(find_forced(" ".join(f"a B{n}c" for n in range(300)), "")) == 100


def test_what_was_lost_is_named() -> None:
    assert find_lost(TEXT, TEXT, ["Tom"]) == ""
    assert find_lost("3 + 4 = 7", "3 + 4", []) == "7"
    assert find_lost("3 + 4 + 5", "3 + 4 5", []) == "+"
    assert find_lost("it costs 1,250", "costs 1 250", []) == "1,250"
    assert find_lost("it costs 1,250", "costs 1 , 250", []) == ""
    assert find_lost("a well-known 2", "well known 2", []) == ""
    assert find_lost("so Tom wins", "so wins", ["Tom"]) == "Tom"


def test_a_rationale_is_shortened_towards_the_median_with_its_operands(package: None) -> None:
    made = of("some")
    assert isinstance(made, ParsedReply) and made.label == "7"
    for kept in ("Tom", "Annabel", "3 + 4 = 7", "1,250.50"):
        assert kept in made.rationale
    assert len(made.rationale.split()) < len(TEXT.split()) and "altogether" in made.rationale


def test_what_is_short_already_stays_and_without_a_median_nothing_is_done(package: None) -> None:
    long = CompressWork(WORK.example, None, None, words=200)
    assert of("some", long) == ParsedReply(TEXT, "7")
    assert of("some", CompressWork(WORK.example, None, None)) == "the student wrote nothing to take a length from"


def test_the_original_stays_where_something_was_lost_or_the_package_fails(package: None) -> None:
    assert of("forgets") == "it lost 1,250.50"
    assert of("fails") == "llmlingua failed on it (IndexError)"


def test_the_shared_check_stands_behind_it(package: None, monkeypatch: pytest.MonkeyPatch) -> None:
    by = COMPRESSORS.get(NAME)
    wrong = CompressWork(Example(QUERY, "s2", TEXT.replace("= 7", "= 8"), "7"), None, None, words=9)
    for model, flags in (
        ("some-xlm-roberta-large", ["answer preserved (level 1)", "kept original: wrong arithmetic"]),
        ("forgets-xlm-roberta-large", ["kept original: it lost", "kept original: it lost"]),
    ):
        monkeypatch.setenv(MODEL_VARIABLE, model)
        work = rewrite_here(TASK, [WORK, wrong], by)
        results = asyncio.run(compress(TASK, work, by, 1, Heard()))
        assert [result.flags[-1].startswith(flag) for result, flag in zip(results, flags, strict=True)] == [True] * 2
    assert asyncio.run(compress(TASK, [WORK], by, 1, Heard())) == [], "what no worker came to is left for the next time"


def test_what_is_missing_is_said_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPart, match=r"pip install 'tacit-studio\[llmlingua\]'"):
        check("microsoft/llmlingua-2-xlm-roberta-large-meetingbank")
    monkeypatch.syspath_prepend(str(PACKAGES))
    with pytest.raises(ConfigError, match="the package knows them by their names"):
        check(str(tmp_path))
    with pytest.raises(ConfigError, match=f"{MODEL_VARIABLE} names another.*the Hub is not to be asked"):
        check("microsoft/llmlingua-2-xlm-roberta-large-meetingbank")
    with pytest.raises(ConfigError, match="there is no folder"):
        check(f"{tmp_path}/xlm-roberta-large")


def test_a_package_or_model_that_can_not_be_loaded_is_told_in_our_words(package: None) -> None:
    with pytest.raises(MissingPart, match="set TIKTOKEN_CACHE_DIR to a folder"):
        load(Place("without-vocabulary-xlm-roberta-large", "cpu"))
    with pytest.raises(MissingPart, match="the model broken-xlm-roberta-large of LLMLingua-2 can't be loaded"):
        load(Place("broken-xlm-roberta-large", "cpu"))


def test_the_model_is_set_by_a_variable_and_part_of_what_a_step_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    assert name_model() == "microsoft/llmlingua-2-xlm-roberta-large-meetingbank"
    step = Compress(name="compress", by=NAME)
    pipeline = Pipeline(Plan(name="p", steps=(step,)), Material(TASK, [WORK.example]))
    first = pipeline.fingerprint(step)
    monkeypatch.setenv(MODEL_VARIABLE, "/models/bert-base-multilingual-cased")
    assert name_model() == "/models/bert-base-multilingual-cased" and pipeline.fingerprint(step) != first
