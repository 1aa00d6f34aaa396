"""What may be said of a study's records: intervals over seeds and queries, contrasts, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError, InputError
from engine.study import Arm, Grid, StudyRecord, list_cells, read_grid
from engine.study_table import correct_holm, summarise_study

GRID = Grid(
    name="s",
    project="p",
    seeds=(1, 2, 3),
    order={"preset": "smoke"},
    arms=(Arm(name="a", plan="twt"), Arm(name="b", plan="standard-kd"), Arm(name="c", plan="mixed")),
    contrast=("a", "b"),
)


SETTINGS = {(cell.arm.name, cell.seed): cell.settings for cell in list_cells(GRID)}


def make_record(arm: str, seed: int, right: Sequence[bool], **changed: Any) -> StudyRecord:
    answers = tuple((f"q{n}", "odd" if n % 2 else "even", bool(r), 4, "Answer: 1") for n, r in enumerate(right))
    return StudyRecord(
        **{**vars(StudyRecord("s", arm, seed, SETTINGS[arm, seed], arm, "finished", "", answers, {})), **changed}
    )


def draw(share: float, n: int, seed: int) -> list[bool]:
    return list(np.random.default_rng(seed).random(n) < share)


def test_a_clear_difference_is_seen_and_none_is_not_made_up() -> None:
    n = 400
    records = [make_record("a", s, draw(0.8, n, s)) for s in (1, 2, 3)]
    records += [make_record("b", s, draw(0.5, n, 10 + s)) for s in (1, 2, 3)]
    records += [make_record("c", s, draw(0.8, n, 20 + s)) for s in (1, 2, 3)]
    result = summarise_study(GRID, records, draws=2000)
    arms = {arm.arm: arm for arm in result.arms}
    for arm in arms.values():
        assert arm.low < arm.score < arm.high and (arm.seeds, arm.failed, arm.n) == (3, 0, n)
        assert set(arm.by_kind) == {"odd", "even"} and arm.tokens == 4
    chosen, other = result.contrasts
    assert chosen.chosen and (chosen.first, chosen.second) == ("a", "b")
    assert chosen.low > 0.1 and chosen.p is not None and chosen.p < 0.01 and chosen.p_holm == chosen.p
    assert not other.chosen and other.low < 0 < other.high and other.p is not None and other.p > 0.05
    assert result.missing == ()


def test_seeds_that_differ_widen_the_interval() -> None:
    n = 200
    alike = [make_record(arm, s, [k % 2 == 0 for k in range(n)]) for arm in "ab" for s in (1, 2, 3)]
    spread = [make_record("a", s, [k < n * share for k in range(n)]) for s, share in ((1, 0.2), (2, 0.5), (3, 0.8))]
    narrow = summarise_study(GRID, alike, draws=1000).arms[0]
    wide = summarise_study(GRID, [*spread, *alike[3:]], draws=1000).arms[0]
    assert wide.score == pytest.approx(narrow.score) and wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_only_queries_that_all_records_answer_count_and_what_lacks_is_said() -> None:
    records = [
        make_record("a", 1, [True, False, True, True]),
        make_record("b", 1, [True, False]),
        make_record("c", 1, [], status="failed", message="the disk is full"),
    ]
    result = summarise_study(GRID, records, draws=50)
    assert [(arm.arm, arm.n, arm.seeds, arm.failed) for arm in result.arms] == [("a", 2, 1, 2), ("b", 2, 1, 2)]
    assert "c, seed 1: failed: the disk is full" in result.missing and "a, seed 3: not run yet" in result.missing
    assert len(result.missing) == 7


def test_records_that_contradict_each_other_or_share_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="hold other answers"):
        summarise_study(GRID, [make_record("a", 1, [True]), make_record("a", 1, [False])])
    apart = make_record("b", 1, [True], answers=(("other", "odd", True, 3, ""),))
    with pytest.raises(InputError, match="share no query"):
        summarise_study(GRID, [make_record("a", 1, [True]), apart])
    assert summarise_study(GRID, []).arms == ()
    with pytest.raises(InputError, match="no record"):
        StudyRecord.from_dict({"study": "s", "answers": 3})


def test_a_later_finished_record_takes_the_place_of_a_failed_one() -> None:
    failed, done = make_record("a", 1, [], status="failed", message="x"), make_record("a", 1, [True, True])
    for records in ([failed, done], [done, failed]):
        assert [arm.score for arm in summarise_study(GRID, records, draws=10).arms] == [1.0]


@given(st.lists(st.booleans(), min_size=2, max_size=8), st.randoms())
@settings(max_examples=25, deadline=None)
def test_neither_the_order_of_records_nor_that_of_answers_counts(right: list[bool], chance: Any) -> None:
    records = [make_record(arm, s, [r ^ (s == 2) for r in right]) for arm in "abc" for s in (1, 2, 3)]
    expected = summarise_study(GRID, records, draws=50)
    shuffled = [StudyRecord.from_dict(r.to_dict()) for r in records]
    shuffled = [
        StudyRecord(**{**vars(r), "answers": tuple(chance.sample(r.answers, len(r.answers)))}) for r in shuffled
    ]
    chance.shuffle(shuffled)
    assert summarise_study(GRID, shuffled, draws=50) == expected


def test_records_of_other_settings_or_other_labels_are_not_mixed_in() -> None:
    other = make_record("a", 1, [True], settings="of an edited grid")
    assert "a, seed 1: not run yet" in summarise_study(GRID, [other]).missing
    mixed = [
        make_record("a", 1, [True], facts={"scored_by": "x"}),
        make_record("b", 1, [True], facts={"scored_by": "y"}),
    ]
    with pytest.raises(InputError, match="different labels"):
        summarise_study(GRID, mixed)
    selected = [make_record("a", seed, [True], facts={"selected": str(seed)}) for seed in (1, 2)]
    with pytest.raises(InputError, match="records of a are of students trained on different selections"):
        summarise_study(GRID, selected)


def test_fewer_than_three_seeds_tell_no_p_and_equal_arms_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(60):
        records = []
        for arm in "ab":
            for seed in (1, 2, 3):
                share = 1 / (1 + np.exp(-rng.normal(0, 0.25)))
                records.append(make_record(arm, seed, list(rng.random(300) < share)))
        p = summarise_study(GRID, records, draws=300).contrasts[0].p
        assert p is not None
        false += p < 0.05
    assert false <= 6, "at most about one in twenty"
    few = summarise_study(GRID, [r for r in records if r.seed < 3], draws=50).contrasts[0]
    assert few.p is None and few.p_holm is None and few.low < few.high


def test_holm_corrects_as_by_hand() -> None:
    assert correct_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_holm([0.5, 0.9]) == [1.0, 1.0] and correct_holm([]) == []


def test_a_grid_is_read_whole_or_refused() -> None:
    table = {"name": "s", "project": "p", "seeds": [1, 2], "contrast": ["a", "b"], "order": {"preset": "smoke"}}
    arms = [{"name": "a", "plan": "twt"}, {"name": "b", "plan": "standard-kd", "order": {"learning_rate": 1e-5}}]
    grid = read_grid({"study": table, "arms": arms})
    cells = list_cells(grid)
    assert [cell.name for cell in cells] == ["a-1", "b-1", "a-2", "b-2"]
    assert cells[3].order.learning_rate == 1e-5 and cells[3].order.seed == 2 and cells[0].order.preset == "smoke"
    for wrong, message in (
        ({"study": {**table, "contrast": ["a", "x"]}, "arms": arms}, "contrast names two of the arms"),
        ({"study": {**table, "seeds": [1, 1]}, "arms": arms}, "a seed is given twice"),
        ({"study": table, "arms": [arms[0], arms[0]]}, "same name"),
        ({"study": table, "arms": [{**arms[0], "order": {"rank": "x"}}, arms[1]]}, "rank"),
        ({"arms": arms}, r"\[study\] is missing"),
        ({"study": table, "arms": arms, "more": 1}, "more is not one"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_grid(wrong)
