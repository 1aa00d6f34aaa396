from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.datasets.encode import (
    IGNORED,
    count_tokens,
    encode_prompt,
    encode_row,
    end_token,
    order_rows,
    split_validation,
)
from engine.datasets.full import rationale_rows
from engine.datasets.label import label_rows
from engine.datasets.rows import Example, fingerprint_rows, row_from_json, row_to_json, student_prompt
from engine.tasks import get_task
from engine.values import Choice, StageRow, make_query

QUICK = settings(max_examples=80, deadline=None)
TASK = get_task("choice")
QUERY = make_query("Which?", (Choice("A", "x"), Choice("B", "y")))
OTHER = make_query("Where?", (Choice("A", "x"), Choice("B", "y")))
EOS, END = 1, 2


class FakeTokenizer:
    """A character a token; ids 1 and 2 are special."""

    eos_token_id = EOS
    all_special_ids = (EOS, END)

    def __init__(self, template: str | None, system: bool = True, adds_eos: bool = False) -> None:
        self.chat_template = template
        self.system = system
        self.adds_eos = adds_eos

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        ids = [END if character == "\x02" else ord(character) + 10 for character in text]
        return [*ids, EOS] if add_special_tokens and self.adds_eos else ids

    def decode(self, ids: list[int]) -> str:
        return "".join({EOS: "<eos>", END: "\x02"}.get(one) or chr(one - 10) for one in ids)

    def apply_chat_template(
        self, messages: list[dict[str, str]], add_generation_prompt: bool = False, tokenize: bool = True
    ) -> str:
        assert not tokenize
        if not self.system and any(message["role"] == "system" for message in messages):
            raise ValueError("no system role")
        turns = "".join(f"[{message['role']}]{message['content']}\x02" for message in messages)
        return turns + ("[assistant]" if add_generation_prompt else "")


def test_a_completion_ends_in_one_answer_line() -> None:
    assert TASK.complete(" Two and two. ", "4") == "Two and two.\nAnswer: 4"
    assert TASK.complete("  ", "4") == "Answer: 4"


def test_a_student_sees_the_query_and_shots_as_earlier_turns() -> None:
    shot = Example(OTHER, None, "r", "B")
    turns = student_prompt(TASK, QUERY, shots=[shot])
    assert [role for role, _ in turns] == ["system", "user", "assistant", "user"]
    assert turns[1:] == (
        ("user", "Where?\n(A) x\n(B) y"),
        ("assistant", "r\nAnswer: B"),
        ("user", "Which?\n(A) x\n(B) y"),
    )


def test_stages_differ_only_in_what_is_completed() -> None:
    example = Example(QUERY, "s1", "because y", "B", ("flag",))
    (full,), (bare,) = rationale_rows(TASK, [example]), label_rows(TASK, [example])
    assert full.prompt == bare.prompt == student_prompt(TASK, QUERY)
    assert (full.completion, bare.completion) == ("because y\nAnswer: B", "Answer: B")
    assert (full.query_id, full.sample_id, full.flags) == (QUERY.id, "s1", ("flag",))
    assert full.id != bare.id


def test_label_rows_hold_each_query_and_label_once() -> None:
    examples = [
        Example(QUERY, "s1", "r1", "B"),
        Example(QUERY, "s2", "r2", "(B) y"),
        Example(QUERY, "s3", "r3", "A"),
        Example(OTHER, "s4", "r4", "B"),
    ]
    assert [(row.query_id, row.sample_id) for row in label_rows(TASK, examples)] == [
        (QUERY.id, "s1"),
        (QUERY.id, "s3"),
        (OTHER.id, "s4"),
    ]
    assert len(rationale_rows(TASK, examples)) == 4


def test_the_fingerprint_follows_the_rows_and_not_their_order() -> None:
    rows = rationale_rows(TASK, [Example(QUERY, "s1", f"r{n}", "B") for n in range(3)])
    assert fingerprint_rows(rows) == fingerprint_rows(rows[::-1])
    assert fingerprint_rows(rows) != fingerprint_rows(rows[:2])


ROW = StageRow("i", QUERY.id, (("system", "S"), ("user", "U")), "r\nAnswer: B")


def test_only_completion_and_end_are_learned() -> None:
    tokenizer = FakeTokenizer("template")
    encoded = encode_row(tokenizer, ROW)
    assert tokenizer.decode(encoded.input_ids) == "[system]S\x02[user]U\x02[assistant]r\nAnswer: B\x02"
    learned = [one for one in encoded.labels if one != IGNORED]
    assert tokenizer.decode(learned) == "r\nAnswer: B\x02"
    assert len(encoded.labels) == len(encoded.input_ids)
    assert encoded.labels[-len(learned) :] == encoded.input_ids[-len(learned) :] == learned
    assert encoded.input_ids[: -len(learned)] == encode_prompt(tokenizer, ROW.prompt)


def test_the_prompt_can_be_learned_too() -> None:
    encoded = encode_row(FakeTokenizer("template"), ROW, mask_prompt=False)
    assert encoded.labels == encoded.input_ids


def test_a_template_without_system_role_gets_it_in_front_of_the_user_turn() -> None:
    tokenizer = FakeTokenizer("template", system=False)
    assert tokenizer.decode(encode_prompt(tokenizer, ROW.prompt)) == "[user]S\n\nU\x02[assistant]"


@pytest.mark.parametrize("adds_eos", [True, False])
def test_without_a_template_the_prompt_is_text_that_ends_in_a_newline(adds_eos: bool) -> None:
    tokenizer = FakeTokenizer(None, adds_eos=adds_eos)
    turns = (("system", "S"), ("user", "Q1"), ("assistant", "A1"), ("user", "Q2"))
    assert tokenizer.decode(encode_prompt(tokenizer, turns)) == "S\n\nQ1\n\nA1\nQ2\n"
    assert tokenizer.decode(encode_row(tokenizer, ROW).input_ids) == "S\n\nU\nr\nAnswer: B<eos>"


def test_the_end_is_what_the_template_writes_behind_an_answer() -> None:
    assert end_token(FakeTokenizer("template")) == END
    assert end_token(FakeTokenizer(None)) == EOS


def test_an_end_that_was_only_added_as_a_special_token_is_found() -> None:
    tokenizer = FakeTokenizer("template")
    tokenizer.all_special_ids = (EOS,)
    assert end_token(tokenizer) == EOS
    tokenizer.added_tokens_decoder = {END: "<end>"}
    assert end_token(tokenizer) == END


def test_tokens_are_counted_with_one_end() -> None:
    assert count_tokens(FakeTokenizer(None, adds_eos=True), ["abc", ""]) == [4, 1]


def rows_of(queries: list[int]) -> list[StageRow]:
    return [StageRow(f"r{n}", f"q{query}", (), "c") for n, query in enumerate(queries)]


@QUICK
@given(st.lists(st.integers(0, 60), min_size=1, max_size=80), st.floats(0, 0.99))
def test_validation_withholds_whole_queries_and_loses_no_row(queries: list[int], share: float) -> None:
    rows = rows_of(queries)
    train, withheld = split_validation(rows, share)
    assert sorted(row.id for row in train + withheld) == sorted(row.id for row in rows)
    assert {row.query_id for row in train}.isdisjoint(row.query_id for row in withheld)
    assert train


def test_the_share_withheld_is_about_that_asked_for_and_stable() -> None:
    rows = rows_of(list(range(2000)))
    _, withheld = split_validation(rows, 0.1)
    assert 140 < len(withheld) < 260
    assert split_validation(rows, 0) == (rows, [])
    more = split_validation(rows[::-1] + rows_of([5000]), 0.1)[1]
    assert {row.query_id for row in withheld} <= {row.query_id for row in more}


@QUICK
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 20), st.integers(0, 3))
def test_the_training_order_shows_every_row_equally_often(rows: int, batch: int, updates: int, seed: int) -> None:
    order = order_rows(rows, batch, updates, seed)
    assert len(order) == batch * updates
    seen = [order.count(row) for row in range(rows)]
    assert max(seen) - min(seen) <= 1
    assert order == order_rows(rows, batch, updates, seed)
    assert order_rows(rows, batch, updates + 3, seed)[: len(order)] == order


def test_batches_mix_the_kinds_of_queries() -> None:
    """Six kinds in turn: by chance one batch of four in 216 is all of a kind, far from the half that sorting gave."""
    order = order_rows(600, 4, 600, 0)
    batches = [{row % 6 for row in order[begin : begin + 4]} for begin in range(0, len(order), 4)]
    assert sum(len(kinds) == 1 for kinds in batches) / len(batches) < 0.03
    assert order != order_rows(600, 4, 600, 1)


@QUICK
@given(st.text(max_size=20), st.text(max_size=20))
def test_a_row_survives_its_file(prompt: str, completion: str) -> None:
    row = StageRow("i", "q", (("user", prompt),), completion, None, ("a", "b"))
    data: Any = json.loads(json.dumps(row_to_json(row)))
    assert row_from_json(data) == row
