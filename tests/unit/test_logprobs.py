"""Where a reply's label stands, and the mean log-prob of its tokens."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.labelling.logprobs import score_label
from engine.tasks import get_task
from engine.tasks.label_place import find_label
from engine.teachers.answers import read_tokens
from engine.values import Choice, Reply, Token, make_query

CHOICE, MATH, CUSTOM = get_task("choice"), get_task("math"), get_task("custom")
QUERY = make_query("Which?", (Choice("A", "a cat"), Choice("B", "a dog")))
OPEN = make_query("How many?")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"rationale": "B or not B", "label": "B", "scores": {"label": 0.1}}', "B"),
        ('{"label": "A", "rationale": "no: A"}', "A"),
        ('Here: ```json\n{"rationale": "{B}", "LABEL" : [ " (B) " ] }\n```', "B"),
        ('{"rationale": "r", "label": "(B) a dog"}', "B"),
        ('{"rationale": "r", "label": "b"}', "b"),
        ("It barks, B barks.\nAnswer: B", "B"),
        ("A cat? No.\n**Answer:** (B) a dog", "B"),
        ("B", "B"),
        ("  (B)\n", "B"),
    ],
)
def test_the_label_of_a_choice_is_found_where_it_is_stated(text: str, shown: str) -> None:
    parsed = CHOICE.parse(QUERY, text)
    assert parsed is not None
    place = find_label(CHOICE, QUERY, text, parsed.label)
    assert place is not None and text[place.start : place.end] == shown
    assert "label" in text[: place.start].lower() or "{" not in text, "not what the rationale says"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"rationale": "40 + 2 = 42", "label": 42}', "42"),
        ("6 * 7 = 42, so \\boxed{42}.", "42"),
        ("It is 42 or so. The answer is 42.", "42"),
        ('{"rationale": "r", "label": "1\\/2"}', "1\\/2"),
        ("#### 1,000", "1,000"),
    ],
)
def test_the_label_of_a_number_is_found_as_it_is_written(text: str, shown: str) -> None:
    parsed = MATH.parse(OPEN, text)
    assert parsed is not None
    place = find_label(MATH, OPEN, text, parsed.label)
    assert place is not None and text[place.start : place.end] == shown


@pytest.mark.parametrize("text", ['{"rationale": "r", "label": "A"}', "Answer: A", "A", "", '{"label": "B", "rat'])
def test_what_says_something_else_is_not_the_label_s_place(text: str) -> None:
    assert find_label(CHOICE, QUERY, text, "B") is None


@given(TEXTS, st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12), st.booleans())
def test_in_an_object_the_label_s_own_value_is_found(rationale: str, label: str, first: bool) -> None:
    parts = {"label": label, "rationale": rationale} if first else {"rationale": rationale, "label": label}
    text = json.dumps(parts, ensure_ascii=False)
    parsed = CUSTOM.parse(OPEN, text)
    place = None if parsed is None else find_label(CUSTOM, OPEN, text, parsed.label)
    inner = json.dumps(label, ensure_ascii=False)[1:-1]
    begin = text.index('"label": "') + len('"label": "') if first else text.rindex(inner + '"}')
    assert place is None or (begin <= place.start and place.end <= begin + len(inner))
    assert place is not None or parsed is None or CUSTOM.normalise(OPEN, label) is None


@given(TEXTS, st.data())
def test_the_score_is_the_mean_over_the_tokens_that_hold_the_label(rationale: str, data: st.DataObject) -> None:
    text = json.dumps({"rationale": rationale, "label": "B"}, ensure_ascii=False)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    tokens = tuple(Token(piece, -float(place)) for place, piece in enumerate(pieces))
    where = len(text) - 3
    holder = next(n for n in range(len(pieces)) if len("".join(pieces[: n + 1])) > where)
    assert score_label(CHOICE, QUERY, Reply(text, text, tokens=tokens), "B") == -float(holder)


def make_reply(text: str, *pieces: tuple[str, float], front: str = "") -> Reply:
    return Reply(front + text, front + text, tokens=tuple(Token(*piece) for piece in pieces))


def test_hidden_reasoning_and_special_tokens_around_the_answer_do_no_harm() -> None:
    spelled = [('{"label": ', -1.0), ('"', -2.0), ("B", -0.5), ('"}', -3.0), ("<|im_end|>", -4.0)]
    text = '{"label": "B"}'
    assert score_label(CHOICE, QUERY, make_reply(text, *spelled, front="<think>A</think>\n"), "B") == -0.5
    thought = [("<think>B", -7.0), ("</think>\n", -7.0), *spelled]
    assert score_label(CHOICE, QUERY, make_reply(text, *thought, front="<think>B</think>\n"), "B") == -0.5


def test_tokens_that_spell_something_else_give_no_score() -> None:
    text = '{"label": "B"}'
    assert score_label(CHOICE, QUERY, make_reply(text, ('{"label": "', -1.0), ("A", -1.0), ('"}', -1.0)), "B") is None
    assert score_label(CHOICE, QUERY, make_reply(text), "B") is None


def test_a_character_spread_over_tokens_is_all_of_them() -> None:
    text = '{"label": "🐦"}'
    raw = text.encode()
    cuts = [11, 12, 14, 15, len(raw)]
    parts = [raw[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]
    told = {"content": [{"token": "?", "bytes": list(part), "logprob": -float(n)} for n, part in enumerate(parts)]}
    tokens = read_tokens(told)
    assert [token.text for token in tokens] == ['{"label": "', "", "", "🐦", '"}']
    assert score_label(CUSTOM, OPEN, Reply(text, text, tokens=tokens), "🐦") == pytest.approx(-2.0), (
        "the three tokens of the bird"
    )


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"content": None},
        {"content": "B"},
        {"content": [None]},
        {"content": [{"token": "B"}]},
        {"content": [{"token": "B", "logprob": "-1"}]},
        {"content": [{"token": "B", "logprob": True}]},
        {"content": [{"token": "B", "logprob": float("nan")}]},
        {"content": [{"token": "B", "logprob": 0.5}]},
        {"content": [{"token": "B", "logprob": -9999.0}]},
        {"content": [{"token": "B", "logprob": -1, "bytes": [999]}]},
        {"content": [{"token": "B", "logprob": -1, "bytes": ["x"]}]},
        [1],
    ],
)
def test_log_probs_that_are_none_are_taken_for_none(told: object) -> None:
    assert read_tokens(told) == ()


@given(TEXTS)
def test_no_reply_makes_the_search_raise(text: str) -> None:
    for label in ("B", text[:3], "(", ""):
        place = find_label(CHOICE, QUERY, text, label)
        assert place is None or re.search(r"\S", text[place.start : place.end])
