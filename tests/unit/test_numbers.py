"""Numbers as a person reads them, and the plot of what was spent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from app.usecases.workspace.job_words import KINDS, job_kind, say_status
from app.web.parts.numbers import count_range, money_range, say_money, span_range
from app.web.plots_spend import spend_plot
from engine.values import JobStatus


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        ("6.1", "8.4", "$6.10-8.40"),
        ("0.0012", "0.0034", "$0.0012-0.0034"),
        ("0.0262", "0.0356", "$0.026-0.036"),
        ("0.014", "0.51", "$0.01-0.51"),
        ("0", "0", "$0.00"),
        (None, "1", "unknown"),
    ],
)
def test_a_range_of_money_has_one_precision(low: str | None, high: str, said: str) -> None:
    assert money_range(None if low is None else Decimal(low), Decimal(high)) == said


def test_ranges_have_one_unit() -> None:
    assert count_range(1_900_000, 2_300_000) == "1.9-2.3 M" and count_range(20, 900) == "20-900"
    assert count_range(2_400, 245_800) == "2.4-245.8 k" and count_range(5, 5) == "5"
    assert span_range(12, 40) == "12-40 s" and span_range(30, 840) == "0-14 min"
    assert span_range(3600, 9000) == "1.0-2.5 h" and span_range(5, 5) == "5 s"
    assert say_money(Decimal("0.41327")) == "$0.4133" and say_money(12) == "$12.00"


def test_every_state_of_a_job_has_words() -> None:
    assert all(say_status(status)[0] for status in JobStatus)
    assert all(kind.title[0].isupper() for kind in KINDS.values())
    assert job_kind("brand-new") == ("Brand new", "", "")


def test_spend_is_drawn_by_day_with_its_gaps_and_small_ones_together() -> None:
    rows = [
        {"day": date(2026, 3, 1), "project": "a", "teacher": "ann", "cost": 1.0},
        {"day": date(2026, 3, 3), "project": "a", "teacher": "<ben>", "cost": 2.0},
        {"day": date(2026, 3, 4), "project": "b", "teacher": "free", "cost": 0.0},
    ]
    assert spend_plot([rows[2]], "teacher") is None
    figure = spend_plot(rows, "teacher")
    assert figure is not None
    assert [(bar.name, list(bar.x), list(bar.y)) for bar in figure.data] == [
        ("&lt;ben&gt;", ["Mar 1", "Mar 2", "Mar 3"], [0.0, 0.0, 2.0]),
        ("ann", ["Mar 1", "Mar 2", "Mar 3"], [1.0, 0.0, 0.0]),
    ]
    many = [{"day": date(2026, 3, 1), "project": f"p{n}", "teacher": "t", "cost": 1.0 + n} for n in range(9)]
    grouped = spend_plot(many, "project")
    assert grouped is not None and [bar.name for bar in grouped.data][-1] == "others"
    assert list(grouped.data[-1].y) == [3.0], "the two smallest"
