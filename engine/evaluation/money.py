"""The arithmetic of money: what answers cost, and after how many of them a student has paid back."""

from __future__ import annotations

from dataclasses import dataclass

from engine.costs import Price
from engine.values.report import ReportRow


@dataclass(frozen=True)
class AskingCost:
    """What asking teachers for a run cost: its labels and its compressions. Money in US dollars.

    `assumed` is what came on top at assumed list prices, had it been billed; `unknown` counts requests whose
    cost is not known.
    """

    spent: float
    assumed: float
    unknown: int


@dataclass(frozen=True)
class PayBack:
    """When a student has paid back what it cost to make. Money in US dollars; None: not known.

    `assumed` is what asking would have cost on top by assumed list prices, where nothing was billed; `teacher_assumed`
    and `device_assumed`: the teacher's cost is by such a price, or the device's is.
    """

    asking: float
    assumed: float
    unknown_requests: int
    device_hours: float
    device: float | None
    teacher_cost: float | None
    student_cost: float | None
    queries: float | None
    teacher_assumed: bool = False
    device_assumed: bool = False


def price_tokens(price: Price, read: float, written: float) -> float:
    """What so many tokens cost, in US dollars."""
    return (float(price.input_usd) * read + float(price.output_usd) * written) / 1e6


def cost_on_device(row: ReportRow, device_hour: float | None) -> float | None:
    """What a thousand answers of a student cost: the device's time at the user's price."""
    if device_hour is None or row.mean_latency_s is None:
        return None
    return device_hour * row.mean_latency_s * 1000 / 3600


def break_even(cost: float, teacher_cost: float, student_cost: float) -> float | None:
    """After how many queries a student has paid back what it cost to make; None if a query saves nothing.

    All in one currency: the cost of making it, and of one answer of the teacher and of the student.
    """
    saved = teacher_cost - student_cost
    return cost / saved if saved > 0 else None


def reckon_pay_back(
    spent: AskingCost,
    device_hours: float,
    device_hour: float | None,
    teacher_cost: float | None,
    student_cost: float | None,
) -> PayBack:
    """When a student has paid back the asking and the training. Costs are of a thousand answers.

    `device_hour`: US dollars an hour of the device; None: not known.
    """
    device = None if device_hour is None else device_hours * device_hour
    queries = None
    if device is not None and teacher_cost is not None and student_cost is not None and not spent.unknown:
        queries = break_even(spent.spent + spent.assumed + device, teacher_cost / 1000, student_cost / 1000)
    return PayBack(
        asking=spent.spent,
        assumed=spent.assumed,
        unknown_requests=spent.unknown,
        device_hours=device_hours,
        device=device,
        teacher_cost=teacher_cost,
        student_cost=student_cost,
        queries=queries,
    )
