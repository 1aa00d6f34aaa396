from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.tasks.reply import RawReply, find_answer_line, read_growing, read_reply, read_score, shorten
from engine.tasks.statements import find_statements

QUICK = settings(max_examples=100, deadline=None)
PIECES = (
    *('{"', '"}', "{", "}", "[", "]", '"', "'", ":", ",", "\\", "\n", "```", "```json\n", " ", "<think>", "</think>"),
    *('"label"', '"answer"', '"rationale"', '"scores"', "label: ", "Answer: ", "The answer is ", "final_answer", "Q:"),
    *("seven", "7", "B", "(B)", "**", "null", "true", "\u2028", "\ud83d", "é", "\0"),
)
messy = st.one_of(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.text(max_size=200))
words = st.text(st.sampled_from("abcdexyz ,.:;!?'\"{}[]\\\n"), max_size=60)


def read(text: str) -> RawReply:
    found = read_reply(text)
    assert found is not None
    return found


@settings(max_examples=300, deadline=None)
@given(messy)
@example("{" * 5000)
@example('{"a":' * 3000 + '"label": 1')
@example("[" * 100_000 + '{"label": 1}')
def test_no_text_makes_the_reader_raise(text: str) -> None:
    read_reply(text)
    find_answer_line(text)
    read_score(text)
    for part in read_growing(text):
        part.encode()


@QUICK
@given(words, st.booleans())
def test_a_growing_reply_is_read_as_far_as_it_goes(rationale: str, ascii_: bool) -> None:
    rationale = f"{rationale} 😀"
    whole = "```json\n" + json.dumps({"rationale": rationale, "label": "17", "scores": {"a": 1}}, ensure_ascii=ascii_)
    shown = [read_growing(whole[:length]) for length in range(len(whole) + 1)]
    assert shown[-1] == (rationale.strip(), "17")
    lengths = [len(said) for said, _ in shown]
    assert max(lengths) <= len(rationale) + 12, "no JSON is shown"
    assert len({said for said, _ in shown}) >= len(rationale.strip()) // 2, "it is seen to grow"


@pytest.mark.parametrize("text", ["{" * 200_000, '{"rationale": "' + "\\sqrt{2} and " * 20_000, "[{" * 50_000])
def test_a_growing_reply_is_read_in_no_time(text: str) -> None:
    started = time.perf_counter()
    read_growing(text)
    assert time.perf_counter() - started < 1


def test_formulas_that_are_not_quite_json_are_shown() -> None:
    said, _ = read_growing('{"rationale": "it is \\sqrt{2}, and')
    assert said.startswith("it is") and "sqrt{2}, and" in said


def test_thoughts_are_shown_until_something_is_said() -> None:
    assert read_growing("<think>Let me") == ("Let me", "")
    assert read_growing("<think>Let me see.</think>\n") == ("Let me see.", "")
    assert read_growing('<think>Let me see.</think>\n{"rationale": "It is') == ("It is", "")
    assert read_growing("It is 7.\nAnswer: 7") == ("It is 7.\nAnswer: 7", "")
    assert read_growing("") == ("", "")


def test_a_repaired_reply_has_whole_characters() -> None:
    assert read('{"rationale": "a \\ud83d\\ude00 b", "label": "B", "scores": {"rea').rationale == "a 😀 b"


@settings(max_examples=300, deadline=None)
@given(messy)
@example('Answer: {"</think>{"')
@example('{label: "}</think>{"')
def test_a_label_found_stands_in_the_text(text: str) -> None:
    found = read_reply(text)
    if found is not None:
        assert found.label
        plain = text.replace("\\", "")
        assert found.label.replace("\\", "") in plain or json.dumps(found.label)[1:-1].replace("\\", "") in plain


@QUICK
@given(words, st.sampled_from(["B", "17", "two words", 'a "quoted" one']), words)
def test_valid_json_is_read_exactly_whatever_stands_around_it(rationale: str, label: str, before: str) -> None:
    text = json.dumps({"rationale": rationale, "label": label, "scores": {"answer": 0.5}})
    before = before.replace("{", "").replace("}", "")
    for dressed in (text, f"```json\n{text}\n```", f"{before}\n{text}", f"{text}\nThat is all."):
        assert read(dressed) == RawReply(rationale.strip(), label, {"answer": 0.5})


FULL = '{"rationale": "Every jeb is a korp.", "label": "forty-two", "scores": {"answer": 0.9}}'


@pytest.mark.parametrize("length", range(FULL.index(', "scores"')))
def test_a_reply_cut_before_or_inside_its_label_has_none(length: int) -> None:
    if length != FULL.index(', "scores"'):
        assert read_reply(FULL[:length]) is None


@pytest.mark.parametrize("length", range(FULL.index(', "scores"') + 1, len(FULL)))
def test_a_reply_cut_behind_its_label_gives_that_label_or_none(length: int) -> None:
    found = read_reply(FULL[:length])
    assert found is None or found.label == "forty-two"


@pytest.mark.parametrize(
    "text",
    [
        '{"rationale": "First 3 * 4, so the answer is 1',
        '{"rationale": "the answer: 1',
        '```json\n{"rationale": "Final answer: 3", "label": ',
        "{'rationale': 'the answer is 12', 'label': '1",
    ],
)
def test_an_answer_inside_a_broken_off_rationale_is_no_label(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"rationale": "r", "scores": {"reasoning": 0.9, "answer": 0.95}}',
        '{"rationale": "r", "label": null, "scores": {"answer": 0.95}}',
        '{"rationale": "r", "label": "", "scores": {"answer": 0.95}}',
        '{"rationale": "r", "confidence": {"answer": 0.95}}',
    ],
)
def test_a_score_called_answer_is_never_the_label(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"rationale": "r", "label": "7", "scores": {"reasoning": 0.9, "answer": 0.95}',
        '{"rationale": "r", "label": "7", "scores": {"reasoning": 0.9, "answer": 0.95},}',
        '{"rationale": "r" "label": "7", "scores": {"reasoning": 0.9, "answer": 0.95}}',
        'r\nAnswer: 7\nScores: {"reasoning": 0.9, "answer": 0.95}',
    ],
)
def test_the_label_of_slightly_broken_json_is_not_taken_from_its_scores(text: str) -> None:
    assert read(text).label == "7"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("{'rationale': 'because', 'label': 'B'}", "B"),
        ('{"rationale": "because", "label": "B",}', "B"),
        ('{rationale: "because", label: "B"}', "B"),
        ('{"Rationale": "because", "LABEL": "B"}', "B"),
        ('{"reasoning": "because", "final_answer": 12}', "12"),
        ('{"rationale": ["because", "so"], "answer": 1.5}', "1.5"),
        ('{"rationale": "line one\nline two", "label": "B"}', "B"),
        ('{"result": {"rationale": "r", "label": "B"}}', "B"),
        ('[{"rationale": "r", "label": "B"}]', "B"),
        ('Let f = {x}. {"rationale": "r", "label": "B"}', "B"),
        ("Some thoughts.\nAnswer: B", "B"),
        ("Some thoughts.\n**Final answer:** B", "B"),
        ("So the answer is **B**", "B"),
        ("The correct answer is: B", "B"),
        ("Answer: A\nNo, wait.\nAnswer: B", "B"),
        ("Answer:\nB", "B"),
        ("## Answer\n\nB", "B"),
        ("**Answer**: B", "B"),
        ("The answer (arabic numerals) is 255", "255"),
        ("The answer to this math problem is 5", "5"),
        ("Hence the answer is Answer: B", "B"),
        ("The correct choice is B", "B"),
        ("So it ends.\n#### B", "B"),
        ("So it is \\boxed{B}.", "B"),
        ("The answer is $\\boxed{B}$.", "B"),
        ("The answer is:\n\n$$\nB\n$$", "B"),
        ("Answer: B<|im_end|>\n<|im_start|>user", "B"),
        ("Answer: B\nProblem 2: And then?\nAnswer: C", "B"),
        ('{"reasoning": "because", "final answer": "B"}', "B"),
        ('{"reasoning": "because", "correct_answer": ["B"]}', "B"),
    ],
)
def test_many_dresses_of_a_reply_are_read(text: str, label: str) -> None:
    assert read(text).label == label


@pytest.mark.parametrize("label", ["true", "null", "{}", "[1, 2]", '""', '" "'])
def test_a_label_that_is_no_text_or_number_is_none(label: str) -> None:
    assert read_reply(f'{{"rationale": "r", "label": {label}}}') is None


def test_text_without_a_marker_holds_no_label() -> None:
    assert read_reply("It could be B, or perhaps D.") is None
    assert read_reply("") is None


def test_the_text_before_the_answer_line_is_the_rationale() -> None:
    assert read("Rationale: two and two.\nAnswer: 4") == RawReply("two and two.", "4", {})


def test_thoughts_are_the_rationale_only_where_the_reply_has_none() -> None:
    assert read('<think>hm {"label": "A"}</think>{"label": "B"}') == RawReply('hm {"label": "A"}', "B", {})
    assert read('<think>hm</think>{"rationale": "r", "label": "B"}').rationale == "r"
    assert read("<think>Answer: A</think>Answer: B").label == "B"


def test_a_reply_that_breaks_off_while_thinking_holds_no_label() -> None:
    assert read_reply('<think>I guess {"label": "A"}') is None
    assert read_reply("<THINK>Answer: A") is None


def test_what_follows_a_question_that_the_model_asks_itself_does_not_count() -> None:
    found = find_answer_line("Think.\nAnswer: 4\nQ: And 3 + 3?\nAnswer: 6")
    assert found is not None
    assert (found[0].strip(), found[1]) == ("Think.", "4")
    assert find_answer_line("Think.\nQuestion: And 3 + 3?\nAnswer: 6") is None


def test_the_question_that_was_asked_may_be_said_again() -> None:
    asked = "What do you get for  3 + 3 in the end?"
    text = f"Let me see.\nQuestion: {asked.upper()}\nAnswer: 6\nQuestion: And 4 + 4?\nAnswer: 8"
    assert [statement.label for statement in find_statements(text, asked)] == ["6"]
    assert find_statements(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "The answer is B. Wait, it is C.",
        "The answer is B. Oops. I misread.",
        "#### 12\nNext one.\n#### 7",
        "It is \\boxed{A} or \\boxed{B}.",
        "\\boxed{12",
        "The other answers are wrong.",
        "Answer choices: A, B, C",
    ],
)
def test_an_answer_that_is_taken_back_or_several_or_none_is_not_read(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize(
    ("value", "score"),
    [
        *((0.9, 0.9), ("0.9", 0.9), ("90%", 0.9), ("90 %", 0.9), ("0.9/1", 0.9), ("9/10", 0.9), (1, 1.0), (0, 0.0)),
        *((1.2, None), (-0.1, None), ("9/0", None), ("high", None), (True, None), (None, None), ("nan", None)),
        *(("inf", None), ("9/10/10", None), ("", None), ([0.9], None), ("95", None), ("1e999", None)),
    ],
)
def test_scores_are_read_as_shares_or_not_at_all(value: object, score: float | None) -> None:
    assert read_score(value) == (None if score is None else pytest.approx(score))


def test_scores_that_can_not_be_read_are_left_out() -> None:
    text = '{"label": "B", "scores": {"Reasoning": "90%", "answer": "sure", "clarity": 7}}'
    assert read(text).scores == {"reasoning": 0.9}
    assert read('{"label": "B", "scores": [1, 1]}').scores == {}


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 100_000 + "x",
        "answer:" + " \n*" * 30_000,
        "[answer" * 15_000,
        '{"scores":' * 9000,
        "The answer is B.\n" * 12_000,
        "\\boxed{" * 28_000,
    ],
)
def test_a_reply_that_loops_is_read_in_no_time(text: str) -> None:
    started = time.perf_counter()
    read_reply(text)
    assert time.perf_counter() - started < 3


@given(
    st.text(max_size=50), st.text("xyz \n", min_size=300, max_size=3000), st.sampled_from(["<think>{}</think>", "{}\n"])
)
def test_a_long_thought_never_costs_the_answer(rationale: str, thought: str, frame: str) -> None:
    answer = json.dumps({"rationale": rationale, "label": "B"})
    whole = frame.format(thought) + answer
    short = shorten(whole, 250 + len(answer))
    assert len(short) <= 250 + len(answer) and "characters of reasoning left out" in short
    read, full = read_reply(short), read_reply(whole)
    assert read is not None and full is not None and read.label == full.label == "B"


@given(st.text(max_size=400), st.integers(100, 500))
def test_shortening_keeps_what_fits_and_never_exceeds(text: str, most: int) -> None:
    short = shorten(text, most)
    assert short == text if len(text) <= most else len(short) <= most
