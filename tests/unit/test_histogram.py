"""A histogram as HTML counts every value once, whatever its range is."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from app.web.parts.histogram import Limit, histogram_html


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=200))
def test_every_value_stands_in_one_of_few_bars(values: list[int]) -> None:
    drawn = histogram_html(values, "tokens", "Length", "queries")
    counts = [int(count.replace(",", "")) for count in re.findall(r"tokens: ([\d,]+) queries", drawn)]
    assert sum(counts) == len(values) and len(counts) <= 32
    assert f"<span>{min(values):,}</span>" in drawn and f"<span>{max(values):,}</span>" in drawn


def test_no_values_are_no_histogram() -> None:
    assert histogram_html([], "tokens", "Length", "queries") == ""
    assert "median 7 &lt;b&gt;" in histogram_html([7], "<b>", "Length", "queries")


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=100), st.integers(1, 12_000))
def test_a_limit_tells_how_many_pass_it_and_stands_among_the_bars(values: list[int], limit: int) -> None:
    drawn = histogram_html(values, "tokens", "Length", "queries", Limit(limit, "Context"))
    beyond = sum(value > limit for value in values)
    assert f"Context: {limit:,} tokens, {beyond:,} of {len(values):,} queries beyond" in drawn
    assert ("<i class='limit'" in drawn) is (min(values) <= limit < max(values)) or beyond in (0, len(values))
    bars = re.findall(r"<span( class='beyond')? style='height:[^']*' title='([\d,]+)[^:]*: ([\d,]+) queries", drawn)
    assert all(int(begin.replace(",", "")) > limit for marked, begin, _ in bars if marked)


def test_the_limit_lies_right_of_what_it_allows() -> None:
    drawn = histogram_html([0, 9], "tokens", "Length", "queries", Limit(4, "Context"))
    assert "left:50.0%" in drawn and drawn.count("class='beyond' style") == 5
