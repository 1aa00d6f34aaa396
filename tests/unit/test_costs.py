from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import TeacherConfig, read_config
from engine.costs import Budget, assumed_price, cost_of, find_price, input_bound, worst_cost
from engine.errors import CapReached, ConfigError
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import Sampling, TeacherSpec, Usage

OWN = TeacherSpec("own", "openai", "mine", "http://127.0.0.1:1/v1", input_price=2.0, output_price=8.0)
KNOWN = TeacherSpec("known", "openai", "gpt-4o-mini")


def test_a_known_model_is_priced_by_the_table() -> None:
    price = find_price(KNOWN)
    assert price is not None and price.source.startswith("genai-prices")
    assert cost_of(KNOWN, Usage(1_000_000, 0)) == price.input_usd > 0
    assert cost_of(KNOWN, Usage(0, 1_000_000)) == price.output_usd > price.input_usd


def test_cached_tokens_are_cheaper() -> None:
    whole, cached = cost_of(KNOWN, Usage(1000, 0)), cost_of(KNOWN, Usage(1000, 0, 800))
    assert whole is not None and cached is not None and cached < whole


def test_the_users_price_goes_first() -> None:
    assert cost_of(OWN, Usage(500_000, 250_000)) == Decimal(3)
    with pytest.raises(ConfigError, match="both prices"):
        find_price(TeacherSpec("x", "openai", "m", input_price=1.0))


def test_an_unknown_price_is_unknown_and_never_nothing() -> None:
    for spec in (
        TeacherSpec("x", "openai", "a-model-that-nobody-has"),
        TeacherSpec("x", "openai", "gpt-4o-mini", "http://127.0.0.1:8000/v1"),
    ):
        assert find_price(spec) is None
        assert cost_of(spec, Usage(10, 10)) is None
    assert cost_of(KNOWN, Usage(None, None)) is None


def test_programs_and_recordings_bill_nothing() -> None:
    for provider in ("scripted", "recorded", "local"):
        assert cost_of(TeacherSpec("x", provider, "m"), Usage()) == 0


@given(st.text(max_size=400))
def test_the_worst_case_is_bound_by_bytes_and_the_longest_reply(prompt: str) -> None:
    spec = TeacherSpec("own", "openai", "mine", sampling=Sampling(max_tokens=100), input_price=2.0, output_price=8.0)
    assert worst_cost(spec, prompt) == (Decimal(2) * input_bound(prompt) + Decimal(8) * 100) / 1_000_000
    assert input_bound(prompt) >= len(prompt)


@given(
    cap=st.decimals(min_value=0, max_value=50, places=2),
    requests=st.lists(st.tuples(st.integers(1, 500), st.floats(0, 1), st.integers(0, 3)), max_size=40),
)
def test_no_order_of_requests_passes_the_cap(cap: Decimal, requests: list[tuple[int, float, int]]) -> None:
    async def run() -> Budget:
        budget = Budget(cap)

        async def one(cents: int, share: float, pauses: int) -> None:
            worst = Decimal(cents) / 100
            try:
                reserved = await budget.reserve(worst)
            except CapReached:
                return
            for _ in range(pauses):
                await asyncio.sleep(0)
            budget.settle(reserved, None if share > 0.9 else worst * Decimal(share))

        await asyncio.gather(*(one(*request) for request in requests))
        return budget

    assert asyncio.run(run()).spent <= cap


def test_a_request_waits_for_those_in_flight_before_it_gives_up() -> None:
    async def run() -> list[str]:
        budget, order = Budget(Decimal(10)), []
        first = await budget.reserve(Decimal(8))

        async def second() -> None:
            await budget.reserve(Decimal(5))
            order.append("second starts")

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.01)
        order.append("first ends")
        budget.settle(first, Decimal(1))
        await waiting
        return order

    assert asyncio.run(run()) == ["first ends", "second starts"]


def test_an_assumed_price_is_marked_and_charges_nothing() -> None:
    for teacher in SCRIPTED_TEACHERS:
        price, charged = assumed_price(teacher.spec), find_price(teacher.spec)
        assert price is not None and price.source == "assumed" and 0 < price.input_usd < price.output_usd < 10
        assert charged is not None and charged.output_usd == 0 and cost_of(teacher.spec, Usage(10**6, 10**6)) == 0
        assert worst_cost(teacher.spec, "a prompt") == 0, "a cap on money does not know it"
        assert assumed_price(replace(teacher.spec, input_price=1.0, output_price=1.0)) is None
    assert assumed_price(TeacherSpec("forward", "openai", "m")) is None


def test_a_price_out_of_all_proportion_is_refused_with_its_bound() -> None:
    values = {"name": "x", "provider": "openai", "model": "m"}
    for price in (1e15, 100_001, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="give a number from 0 to 100,000"):
            read_config(TeacherConfig, {**values, "input_price": price, "output_price": 1})
    assert read_config(TeacherConfig, {**values, "input_price": 100_000, "output_price": 0}).to_spec().input_price


@given(
    st.floats(),
    st.one_of(st.none(), st.integers(0, 10**40)),
    st.one_of(st.none(), st.integers(0, 10**40)),
)
def test_a_cost_fits_the_ledger_or_is_unknown(price: float, read: int | None, wrote: int | None) -> None:
    spec = TeacherSpec("x", "openai", "m", input_price=price, output_price=price)
    cost = cost_of(spec, Usage(read, wrote))
    assert cost is None or 0 <= cost < 10**9


def test_a_price_of_an_earlier_version_that_is_too_high_is_unknown() -> None:
    assert find_price(TeacherSpec("x", "openai", "m", input_price=1e15, output_price=1.0)) is None
