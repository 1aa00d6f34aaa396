"""A histogram as HTML counts every value once, whatever its range is."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from app.web.parts.histogram import histogram_html


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=200))
def test_every_value_stands_in_one_of_few_bars(values: list[int]) -> None:
    drawn = histogram_html(values, "tokens", "Length", "queries")
    counts = [int(count.replace(",", "")) for count in re.findall(r"tokens: ([\d,]+) queries", drawn)]
    assert sum(counts) == len(values) and len(counts) <= 32
    assert f"<span>{min(values):,}</span>" in drawn and f"<span>{max(values):,}</span>" in drawn


def test_no_values_are_no_histogram() -> None:
    assert histogram_html([], "tokens", "Length", "queries") == ""
    assert "median 7 &lt;b&gt;" in histogram_html([7], "<b>", "Length", "queries")
