"""LLMLingua-2: a small classifier says which words of a rationale stay (Pan et al. 2024, arXiv 2403.12968, section 4).

One of the ways that the paper compares (arXiv 2503.24198, Table 5). By the package `llmlingua`, in a worker. The target
is the student's median length, as a share of the rationale's words. Numbers, operators and names are forced to stay: a
short form that drops its operands teaches nothing. Where one was lost all the same, the original stays. With many of
them a short form is longer than the target.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import regex

from engine.compression.base import COMPRESSORS, Compressor, CompressWork, InWorker, Place
from engine.config import StudentConfig
from engine.errors import ConfigError, MissingPart, say_hub_error
from engine.ports import Task
from engine.students import check_student
from engine.values import ParsedReply

MODEL_VARIABLE = "TACIT_LLMLINGUA_MODEL"
"""The variable that names another model, or the folder of one."""
_MODEL = "microsoft/llmlingua-2-xlm-roberta-large-meetingbank"
_FAMILIES = ("xlm-roberta-large", "bert-base-multilingual-cased")
"""The package tells its models apart by these parts of their names."""
_PACKAGE = "llmlingua"
_MOST_FORCED = 100
"""The package's own bound on words that are forced to stay."""
_OPERATORS = "+-*/=<>()^%×÷−±≠≤≥"
_NUMBER = regex.compile(r"\d+(?:[.,:]\d+)+")
"""A number that a tokenizer takes apart: with a decimal point, groups of thousands, a time of day."""
_DIGITS = regex.compile(r"\d+")
_CAPITAL = regex.compile(r"(?<![\w'’])\p{Lu}[\w]*(?:['’]\w+)?")
_BEGINS = regex.compile(r"(?:^|[.!?:;\n])[\s\"'(]*\Z")
_INNER = r"(?<=\p{L})%s(?=\p{L})"


def name_model() -> str:
    """The model, as `MODEL_VARIABLE` names it."""
    return os.environ.get(MODEL_VARIABLE, "").strip() or _MODEL


def check(model: str) -> None:
    """Whether package and model can be had here.

    Raises:
        MissingPart: if the package is not installed.
        ConfigError: if the model can't be had, or is none of the package's.
    """
    if find_spec(_PACKAGE) is None:
        raise MissingPart(
            f"compressing by LLMLingua-2 needs the package {_PACKAGE}: pip install 'tacit-studio[{_PACKAGE}]', or "
            "choose another compressor. Nothing was started."
        )
    if not any(family in model for family in _FAMILIES):
        raise ConfigError(
            f"{model} can't be a model of LLMLingua-2: the package knows them by their names, which hold "
            f"{' or '.join(_FAMILIES)}; call the folder so, or set {MODEL_VARIABLE} to another. Nothing was started."
        )
    try:
        check_student(StudentConfig(model=model))
    except ConfigError as error:
        raise ConfigError(f"the model of LLMLingua-2 can't be had ({MODEL_VARIABLE} names another): {error}") from None


def rewrite(task: Task, work: Sequence[CompressWork], place: Place) -> Iterator[ParsedReply | str]:
    """What is left of each rationale; those as short as the target stay as they are.

    Raises:
        MissingPart: if the package or its model can't be loaded.
    """
    compressor: Any = None
    for item in work:
        rationale = item.example.rationale
        words = len(rationale.split())
        if not item.words:
            yield "the student wrote nothing to take a length from"
        elif words <= item.words:
            yield ParsedReply(rationale, item.example.label)
        else:
            compressor = compressor or load(place)
            yield _shorten(compressor, item, item.words / words)


def load(place: Place) -> Any:
    """The package's compressor with its model.

    Raises:
        MissingPart: if either can't be loaded.
    """
    try:
        from llmlingua import PromptCompressor  # noqa: PLC0415 - an extra, and it brings torch
    except ImportError as error:
        raise MissingPart(f"the package {_PACKAGE} can't be imported: {error}") from error
    try:
        return PromptCompressor(
            model_name=place.model,
            device_map=place.device,
            use_llmlingua2=True,
            model_config={"trust_remote_code": False},
        )
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "requests":  # by tiktoken; the Hub is asked otherwise
            raise MissingPart(
                f"{_PACKAGE} counts by a vocabulary of tiktoken (cl100k_base), which it fetches once and could not "
                "fetch now; let this machine reach it, or set TIKTOKEN_CACHE_DIR to a folder that holds it"
            ) from error
        raise MissingPart(
            f"the model {place.model} of LLMLingua-2 can't be loaded: {say_hub_error(error)}; the log of the worker "
            "says more"
        ) from error


def _shorten(compressor: Any, work: CompressWork, rate: float) -> ParsedReply | str:
    text = work.example.rationale
    forced = find_forced(text, work.example.query.text)
    try:
        result = compressor.compress_prompt(
            [text], rate=rate, force_tokens=forced, force_reserve_digit=True, drop_consecutive=False
        )
        short = str(result["compressed_prompt"])
    except (AssertionError, LookupError, ValueError) as error:  # of texts that its tokenizer makes nothing of
        return f"{_PACKAGE} failed on it ({type(error).__name__})"
    short = regex.sub(" +", " ", _space_out(short, forced)).strip()
    lost = find_lost(text, short, find_names(text, work.example.query.text))
    return f"it lost {lost}" if lost else ParsedReply(short, work.example.label)


def find_names(text: str, query: str) -> list[str]:
    """Capitalised words of a text that no sentence's beginning explains, and that nowhere stand in small letters.

    Such a word stands within a sentence somewhere, or in the query too.
    """
    small = {word for word in regex.findall(r"\w+", f"{text} {query}") if not word[0].isupper()}
    within = {
        match.group() for each in (text, query) for match in _CAPITAL.finditer(each) if not _begins(each, match.start())
    }
    names = within.union(_CAPITAL.findall(query))
    capitalised = dict.fromkeys(_CAPITAL.findall(text))
    return [word for word in capitalised if word in names and word.casefold() not in small]


def _begins(text: str, place: int) -> bool:
    return _BEGINS.search(text[max(0, place - 20) : place] if place else "") is not None


def find_forced(text: str, query: str) -> list[str]:
    """What is forced to stay beside digits: operators, numbers that would be taken apart, names; the longest first.

    The package puts them in by replacing characters, so a word that is also a part of another word is left out, and so
    is an operator that joins two words, as a hyphen.
    """
    signs = [sign for sign in _OPERATORS if sign in text and not regex.search(_INNER % regex.escape(sign), text)]
    whole = dict.fromkeys([*_NUMBER.findall(text), *find_names(text, query)])
    left, words = text, []
    for word in sorted(whole, key=len, reverse=True):
        alone = regex.findall(rf"(?<!\w){regex.escape(word)}(?!\w)", left)
        if len(alone) == left.count(word):
            words.append(word)
            left = left.replace(word, " ")
    return [*words, *signs][:_MOST_FORCED]


def _space_out(text: str, forced: Sequence[str]) -> str:
    """Spaces around forced words that were put together with a neighbour: in the original they stood alone."""
    for word in forced:
        if word not in _OPERATORS:
            text = regex.sub(rf"(?<=\w){regex.escape(word)}", rf" {word}", text)
            text = regex.sub(rf"{regex.escape(word)}(?=\w)", rf"{word} ", text)
    return text


def find_lost(text: str, short: str, names: Sequence[str]) -> str:
    """The first number, operator or name of a text that its short form lacks; "" where it has all."""
    squeezed = "".join(short.split())
    for number in _NUMBER.findall(text):
        if number not in squeezed:
            return str(number)
    for counts in (_count(_DIGITS.findall(text), _DIGITS.findall(short)), _count(_signs(text), _signs(short))):
        if counts:
            return counts[0]
    return next((name for name in names if name not in short), "")


def _signs(text: str) -> list[str]:
    bare = regex.sub(_INNER % f"[{regex.escape(_OPERATORS)}]", " ", text)
    return [sign for sign in bare if sign in _OPERATORS]


def _count(wanted: Sequence[str], there: Sequence[str]) -> list[str]:
    return list((Counter(wanted) - Counter(there)).elements())


COMPRESSORS.add(
    "llmlingua-2",
    Compressor(
        "LLMLingua-2",
        "A classifier keeps words up to the student's median; nobody is asked (Table 5).",
        needs_teacher=False,
        worker=InWorker(rewrite, name_model, check),
    ),
)
