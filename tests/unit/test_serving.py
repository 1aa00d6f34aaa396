"""The ladder: what it comes to offline is what it does when it is asked, and its certificate keeps what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import StudentConfig, TeacherConfig
from engine.errors import ConfigError, InputError, MissingPart
from engine.second_draws import same_label, seed_of
from engine.serving.certificate import Losses, certify_in_turn, count_losses, count_needed, find_p_value
from engine.serving.climbing import RungAnswer, climb
from engine.serving.deferral import DEFERRALS, NEVER, DeferralRule, read_deferral
from engine.serving.deferral.base import UNKNOWN, UNREAD
from engine.serving.deferral.by_kind import ByKind
from engine.serving.deferral.confidence import Confidence
from engine.serving.deferral.confidence_by_kind import ConfidenceByKind
from engine.serving.deferral.two_draws import TwoDraws
from engine.serving.fitting import find_front
from engine.serving.outcomes import Outcomes, SecondDrawArrays, choose_half, climb_all, gather
from engine.serving.policy import Policy, StudentRung, TeacherRung, read_policy, write_policy
from engine.serving.saving import Ladder, choose_step, fit_ladder, list_students
from engine.tasks import get_task
from engine.values import EvalItem, Query, SecondDraw, Usage, make_query

KINDS = ("sums", "words", None)


def make_outcomes(n: int, seed: int = 0) -> Outcomes:
    """A student that is right where it is sure, one that reasons, and a teacher that is right nine times in ten."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    right = np.stack([hard < 0.6, hard < 0.7, rng.random(n) < 0.9])
    noisy = [np.clip(1 - hard + rng.normal(0, 0.15, n), 0, 1) for _ in range(2)]
    tokens = np.stack([np.full(n, 5.0), np.full(n, 40.0), np.full(n, 80.0)])
    kinds = tuple(KINDS[i] for i in rng.integers(0, 3, n))
    names = tuple(f"q{i}" for i in range(n))
    confidence = np.stack([*noisy, np.zeros(n)])
    agrees = np.stack([*(noisy_row > 0.45 for noisy_row in noisy), np.zeros(n)]).astype(float)
    second = SecondDrawArrays(agrees, np.full((3, n), 0.7), tokens + 1, tokens / 1e6, tokens / 50)
    return Outcomes(
        ("direct", "reasons", "teacher"), names, kinds, right, confidence, tokens, tokens / 1e6, tokens / 50, second
    )


class TestTheCertificate:
    @pytest.mark.parametrize(("lose", "win"), [(0.05, 0.0), (0.1, 0.05), (0.3, 0.25)])
    def test_a_ladder_that_loses_what_is_allowed_is_certified_no_more_often_than_said(
        self, lose: float, win: float
    ) -> None:
        rng = np.random.default_rng(1)
        draws = rng.multinomial(300, [lose, win, 1 - lose - win], size=800)
        before = rng.multinomial(300, [lose, win, 1 - lose - win], size=800)
        passed = [find_p_value(Losses(*a), 0.05, Losses(*b)) <= 0.1 for a, b in zip(draws, before, strict=True)]
        assert np.mean(passed) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 800)

    def test_no_loss_in_500_queries_certifies_one_point(self) -> None:
        assert find_p_value(Losses(0, 0, 500), 0.01, Losses(0, 0, 500)) <= 0.1

    def test_no_loss_in_100_queries_does_not(self) -> None:
        assert find_p_value(Losses(0, 0, 100), 0.01, Losses(0, 0, 100)) > 0.1

    @given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 900), st.floats(0, 0.3))
    def test_more_losses_never_look_better(self, lost: int, won: int, same: int, allowed: float) -> None:
        fitted = Losses(3, 2, 95)
        fewer = find_p_value(Losses(lost, won, same + 1), allowed, fitted)
        more = find_p_value(Losses(lost + 1, won, same), allowed, fitted)
        assert 0 < fewer <= more <= 1

    def test_testing_stops_at_the_first_that_fails(self) -> None:
        none, bad = Losses(0, 0, 500), Losses(100, 0, 400)
        assert certify_in_turn([none, none, bad, none], [none] * 4, 0.02) == 2

    def test_the_reference_alone_needs_no_queries(self) -> None:
        assert certify_in_turn([Losses(0, 0, 3)], [Losses(0, 0, 3)], 0.0) == 1

    def test_as_many_queries_as_are_said_to_be_needed_do_certify(self) -> None:
        needed = count_needed(Losses(2, 2, 96), 0.02)
        assert needed is not None
        scaled = Losses(round(0.02 * needed), round(0.02 * needed), needed - 2 * round(0.02 * needed))
        assert find_p_value(scaled, 0.02, scaled) <= 0.1
        assert find_p_value(Losses(1, 1, needed // 4), 0.02, Losses(2, 2, 96)) > 0.1

    def test_what_loses_more_than_allowed_needs_more_than_any_number(self) -> None:
        assert count_needed(Losses(10, 0, 90), 0.05) is None

    def test_losses_are_counted(self) -> None:
        assert count_losses(np.array([1, 1, -1, 0, 0, 0])) == Losses(2, 1, 3)


class TestTheFront:
    @pytest.mark.parametrize("name", DEFERRALS.names())
    @pytest.mark.parametrize("effort", ["tokens", "dollars", "seconds"])
    def test_each_step_takes_less_and_the_first_asks_the_reference_alone(self, name: str, effort: str) -> None:
        outcomes = make_outcomes(300).see(DEFERRALS[name])
        front = find_front(outcomes, DEFERRALS[name], effort)
        taken = [candidate.climbed.sum_effort(getattr(outcomes, effort)).sum() for candidate in front]
        assert (front[0].climbed.by == 2).all() and front[0].climbed.asked[:2].sum() == 0
        assert taken == sorted(set(taken), reverse=True) and len(front) > 1

    def test_rules_are_stored_and_read_back(self) -> None:
        for name in DEFERRALS.names():
            outcomes = make_outcomes(200).see(DEFERRALS[name])
            rules = find_front(outcomes, DEFERRALS[name])[-1].rules
            again = [read_deferral(json.loads(json.dumps(rule.model_dump(mode="json")))) for rule in rules]
            assert (climb_all(outcomes, again).by == climb_all(outcomes, rules).by).all()

    def test_an_unknown_rule_names_those_there_are(self) -> None:
        with pytest.raises(ConfigError, match="confidence"):
            read_deferral({"kind": "gut-feeling"})


RULES = st.one_of(
    st.builds(Confidence, threshold=st.one_of(st.none(), st.floats(0, 1))),
    st.builds(ByKind, kinds=st.lists(st.sampled_from(["sums", "words"]), unique=True).map(tuple)),
    st.builds(ConfidenceByKind, thresholds=st.dictionaries(st.sampled_from(["sums", "words", ""]), st.floats(0, 1))),
)
CONFIDENCES = st.one_of(st.sampled_from([UNREAD, UNKNOWN]), st.floats(0, 1))


def make_policy(*rules: object) -> Policy:
    students = [StudentRung(system=f"s{i}", student=StudentConfig(), rule=rule) for i, rule in enumerate(rules)]
    teacher = TeacherRung(
        system="t", teacher=TeacherConfig(name="t", provider="openai", model="m"), prompt="a\n=====\n{{ query }}"
    )
    return Policy(project="p", run="r", task="custom", rungs=(*students, teacher))


def answer(system: str, confidence: float) -> RungAnswer:
    return RungAnswer(system, "x", None if confidence == UNREAD else "x", confidence, Usage(1, 1), 0.0, 0.0)


def ask_all(policy: Policy, kind: str | None, said: dict[str, float], only: str = "") -> tuple[object, list[str]]:
    """Climb with the confidences of `said`; a rung that is not in it fails."""
    asked: list[str] = []

    async def ask(rung: StudentRung | TeacherRung, query: Query) -> RungAnswer:
        asked.append(rung.system)
        if rung.system not in said:
            raise MissingPart(f"{rung.system} is down")
        return answer(rung.system, said[rung.system])

    return asyncio.run(climb(policy, make_query("q"), kind, ask, only)), asked


class TestTwoDraws:
    def test_both_draws_are_counted_of_students_whose_answer_states_a_label(self) -> None:
        outcomes = make_outcomes(4)
        unread = outcomes.confidence.copy()
        unread[0, 0] = UNREAD
        seen = replace(outcomes, confidence=unread).see(TwoDraws)
        assert seen.tokens[0].tolist() == [5.0, 11.0, 11.0, 11.0] and seen.tokens[2].tolist() == [80.0] * 4
        assert seen.confidence[0, 0] == UNREAD and set(seen.confidence[1]) <= {UNKNOWN, 1.0}
        once = outcomes.see(Confidence)
        assert (once.tokens == outcomes.tokens).all() and (once.confidence == outcomes.confidence).all()

    def test_a_ladder_of_it_is_fitted_and_its_singles_answer_once(self) -> None:
        outcomes = make_outcomes(2000)
        ladder = fit_ladder(outcomes, half_of(outcomes), TwoDraws)
        choice = choose_step(ladder, 0.1)
        assert choice.certified and choice.place > 0 and ladder.singles[0].effort.tokens == 5.0
        assert choice.step.effort.tokens > 11.0, "whoever is asked draws twice"
        assert {rule.temperature for rule in choice.step.rules} == {0.7}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda second: None, "lack for direct, reasons: order them"),
            (
                lambda second: replace(second, temperature=second.temperature * [[1], [2], [1]]),
                "different temperatures",
            ),
        ],
    )
    def test_draws_that_are_lacking_or_mixed_are_told(self, change: Callable, message: str) -> None:
        outcomes = make_outcomes(100)
        with pytest.raises(InputError, match=message):
            fit(replace(outcomes, second=change(outcomes.second)), rule=TwoDraws)

    @pytest.mark.parametrize(
        ("agrees", "confidence", "by"), [(True, 0.1, "s0"), (False, 0.9, "t"), (None, 0.9, "t"), (False, UNREAD, "t")]
    )
    def test_a_rung_answers_where_both_agree_however_sure_it_is(
        self, agrees: bool | None, confidence: float, by: str
    ) -> None:
        async def ask(rung: StudentRung | TeacherRung, query: Query) -> RungAnswer:
            return replace(answer(rung.system, confidence if rung.system == "s0" else UNKNOWN), agrees=agrees)

        served = asyncio.run(climb(make_policy(TwoDraws()), make_query("q"), None, ask))
        assert served.answer is not None and served.answer.system == by

    def test_what_was_drawn_is_gathered_and_priced_by_its_time(self) -> None:
        items = [item("s", "a", second=SecondDraw(7, 1.0, 0.4, True)), item("t", "a")]
        second = gather(items, ["s", "t"], {"s": 0.2}).second
        assert second is not None and second.drawn_at == 0.4
        assert [float(part[0, 0]) for part in (second.agrees, second.tokens, second.dollars)] == [1.0, 7.0, 0.4]
        assert np.isnan(second.agrees[1, 0]) and gather([item("s", "a"), item("t", "a")], ["s", "t"], {}).second is None

    def test_labels_agree_by_their_keys_and_nothing_agrees_with_none(self) -> None:
        task, query = get_task("math"), make_query("How many?")
        assert same_label(task, query, "1/2", "0.5") and not same_label(task, query, "1", "2")
        assert not same_label(task, query, None, None)

    def test_a_prompt_is_always_drawn_with_the_same_seed(self) -> None:
        one, other = ((("user", text),) for text in ("Who?", "Where?"))
        assert seed_of(one) == seed_of(one) != seed_of(other) and 0 <= seed_of(one) < 2**31


class TestAsking:
    @given(st.tuples(RULES, RULES), st.tuples(CONFIDENCES, CONFIDENCES), st.sampled_from(KINDS))
    def test_a_ladder_does_what_was_measured_of_it(self, rules: tuple, sure: tuple, kind: str | None) -> None:
        ones = np.ones((3, 1))
        offline = Outcomes(
            ("s0", "s1", "t"), ("q",), (kind,), ones > 0, np.array([[*sure, UNKNOWN]]).T, ones, ones, ones
        )
        climbed = climb_all(offline, rules)
        served, asked = ask_all(make_policy(*rules), kind, {"s0": sure[0], "s1": sure[1], "t": UNKNOWN})
        assert served.answer.system == offline.systems[climbed.by[0]] and not served.fallback
        assert asked == [name for name, was in zip(offline.systems, climbed.asked[:, 0], strict=True) if was]

    def test_a_dead_student_is_passed_over(self) -> None:
        served, _ = ask_all(make_policy(Confidence(threshold=0.5)), None, {"t": UNKNOWN})
        assert served.answer.system == "t" and served.failed == {"s0": "s0 is down"}

    def test_a_dead_teacher_leaves_the_surest_student_marked(self) -> None:
        rules = Confidence(threshold=0.9), Confidence(threshold=0.9)
        served, _ = ask_all(make_policy(*rules), None, {"s0": 0.4, "s1": 0.6})
        assert served.answer.system == "s1" and served.fallback and "t" in served.failed

    def test_nobody_answers(self) -> None:
        served, _ = ask_all(make_policy(Confidence(threshold=0.9)), None, {})
        assert served.answer is None and not served.fallback and set(served.failed) == {"s0", "t"}

    def test_one_rung_alone_can_be_asked(self) -> None:
        served, asked = ask_all(make_policy(Confidence(threshold=None)), None, {"s0": 0.1, "t": UNKNOWN}, only="s0")
        assert served.answer.system == "s0" and asked == ["s0"] and not served.fallback


def half_of(outcomes: Outcomes) -> frozenset[str]:
    return choose_half(dict(zip(outcomes.queries, outcomes.kinds, strict=True)))


def fit(outcomes: Outcomes, effort: str = "tokens", rule: type[DeferralRule] = Confidence) -> Ladder:
    return fit_ladder(outcomes, half_of(outcomes), rule, effort)


class TestSaving:
    def test_a_sure_student_saves_within_the_wish(self) -> None:
        ladder = fit(make_outcomes(2000))
        choice = choose_step(ladder, 0.02)
        assert choice.certified and choice.place > 0
        assert choice.step.score >= ladder.reference.score - 0.02
        share = choice.saved["tokens"]
        assert 0 < share.low <= share.value <= share.high < 1
        assert sum(choice.step.shares) == pytest.approx(1)

    def test_more_is_saved_where_more_may_be_lost(self) -> None:
        ladder = fit(make_outcomes(2000))
        places = [choose_step(ladder, allowed).place for allowed in (0.0, 0.01, 0.05, 0.1, 0.3)]
        assert places == sorted(places) and places[-1] > places[1]

    def test_too_few_queries_are_told_with_how_many_it_takes(self) -> None:
        choice = choose_step(fit(make_outcomes(120)), 0.01)
        assert not choice.certified and choice.needed and choice.needed > 100

    def test_students_that_are_never_right_leave_the_reference_alone(self) -> None:
        outcomes = make_outcomes(200)
        useless = replace(outcomes, right=np.stack([np.zeros(200, bool), np.zeros(200, bool), outcomes.right[2]]))
        choice = choose_step(fit(useless), 0.01)
        assert choice.place == 0 and choice.certified and choice.step.shares == (0.0, 0.0, 1.0)

    def test_halves_share_no_query_and_split_each_kind(self) -> None:
        outcomes = make_outcomes(301)
        half = np.array([query in half_of(outcomes) for query in outcomes.queries])
        kinds = np.array([kind or "" for kind in outcomes.kinds])
        assert all(abs(half[kinds == kind].mean() - 0.5) < 0.02 for kind in set(kinds))

    def test_unknown_money_is_told(self) -> None:
        outcomes = make_outcomes(100)
        unknown = replace(outcomes, dollars=np.full((3, 100), np.nan))
        with pytest.raises(InputError, match="dollars of direct, reasons, teacher"):
            fit(unknown, "dollars")
        assert set(choose_step(fit(unknown), 0.05).saved) == {"tokens", "seconds"}

    def test_too_few_queries_to_halve(self) -> None:
        with pytest.raises(InputError, match="needs 10 of each"):
            fit(make_outcomes(12))

    def test_who_answers_at_once_is_asked_before_who_reasons(self) -> None:
        students = [("full", 0.5, 43.0), ("short", 0.46, 25.0), ("answer", 0.68, 4.9), ("kd", 0.7, 4.9)]
        assert list_students(students) == ["kd", "full"]
        assert list_students([("answer", 0.6, 5.0)]) == ["answer"] and list_students([]) == []


def item(system: str, query: str, **more: object) -> EvalItem:
    given = {"label": "x", "tokens": 3, "latency_s": 0.5, "correct": True, "kind": None, "log_prob": None, **more}
    return EvalItem(system=system, query_id=query, text="", **given)  # type: ignore[arg-type]


class TestGathering:
    def test_only_queries_that_all_answered_count(self) -> None:
        items = [item("s", "a", log_prob=-0.1), item("s", "b"), item("t", "b", cost=0.25), item("t", "c")]
        outcomes = gather(items, ["s", "t"], {"s": 0.1, "t": None})
        assert outcomes.queries == ("b",) and outcomes.dollars[:, 0].tolist() == [0.1, 0.25]

    def test_an_answer_without_a_label_is_never_sure(self) -> None:
        items = [item("s", "a", label=None, correct=False, log_prob=-0.1), item("t", "a")]
        assert gather(items, ["s", "t"], {}).confidence[0, 0] == UNREAD

    def test_who_answered_nothing_is_named(self) -> None:
        with pytest.raises(InputError, match="nobody-there"):
            gather([item("s", "a")], ["s", "nobody-there"], {})


class TestThePolicyFile:
    def test_it_reads_back_as_it_was_written(self, tmp_path: Path) -> None:
        policy = make_policy(
            *(Confidence(threshold=None), ByKind(kinds=("sums",)), ConfidenceByKind(thresholds={"": 0.3})),
            TwoDraws(temperature=0.4),
        )
        write_policy(policy, tmp_path / "policy.json")
        assert read_policy(tmp_path / "policy.json") == policy
        assert float(policy.students[0].rule.find_bars(["sums"])[0]) == NEVER

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": "other"}, "is no policy"),
            ({"rungs": []}, "rungs"),
            ({"surprise": 1}, "surprise"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, change: dict, message: str) -> None:
        values = {**make_policy(Confidence(threshold=0.5)).model_dump(mode="json"), **change}
        path = tmp_path / "policy.json"
        path.write_text(json.dumps(values), "utf-8")
        with pytest.raises(InputError, match=message):
            read_policy(path)

    def test_an_adapter_outside_the_workspace_is_refused(self) -> None:
        with pytest.raises(ValueError, match="inside the workspace"):
            StudentRung(system="s", student=StudentConfig(), adapter="../../etc", rule=Confidence(threshold=0.5))

    @pytest.mark.parametrize("text", ["", "[", "[]", "\x00"])
    def test_what_is_no_json_object_is_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "policy.json"
        path.write_text(text, "utf-8")
        with pytest.raises(InputError, match="tacit policy"):
            read_policy(path)
