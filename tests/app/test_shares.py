"""Nobody of the hosted demo's visitors takes what is there for all."""

from __future__ import annotations

import pytest

from app.hosted_demo.shares import Quotas, Rates, gives_way
from app.hosted_demo.shipped_project import NAME
from app.hosted_demo.visitors import Visitors
from app.services import Services
from engine.errors import Forbidden
from tests.app.forms import enter_question
from tests.app.test_hosted import Clock, project_of


@pytest.fixture
def services(shipped: Services) -> Services:
    return shipped


@pytest.fixture
def visitors(services: Services) -> Visitors:
    made = Visitors(services, Quotas(), Clock())
    made.prepare()
    return made


def test_one_visitor_can_not_use_up_the_copies_of_a_minute(services: Services) -> None:
    clock = Clock()
    visitors = Visitors(services, Quotas(copies_a_minute=4, copies_a_minute_each=3), clock)
    visitors.prepare()
    for _ in range(3):
        visitors.begin_afresh("a")
    with pytest.raises(Forbidden, match="Within a minute 3 copies came from your address"):
        visitors.begin_afresh("a")
    visitors.begin_afresh("b")
    with pytest.raises(Forbidden, match="Many copies are being made"):
        visitors.begin_afresh("b")
    assert project_of(visitors, visitors.begin_afresh("c")), "who has made none yet is served all the same"
    clock.now = 60
    assert project_of(visitors, visitors.begin_afresh("a"))


def test_rates_have_a_bound_for_all_newcomers_too() -> None:
    rates = Rates(Clock())
    for number in range(8):
        rates.take("copies", str(number), 3, 4)
    with pytest.raises(Forbidden, match="Many copies"):
        rates.take("copies", "new", 3, 4)
    rates.take("queries", "new", 3)


def test_where_all_is_taken_the_one_with_the_most_gives_one_up(services: Services) -> None:
    clock = Clock()
    visitors = Visitors(services, Quotas(copies=3, copies_each=3), clock)
    visitors.prepare()
    greedy = [visitors.begin_afresh("a") for _ in range(3)]
    clock.now = 1
    visitors.check("select", "numbers", [greedy[0]])
    newcomer = visitors.begin_afresh("b")
    gone = [key for key in greedy if visitors.find(key).name == NAME]  # type: ignore[union-attr]
    assert len(gone) == 1 and greedy[0] not in gone and project_of(visitors, newcomer)
    with pytest.raises(Forbidden, match="full"):
        visitors.begin_afresh("b")


def test_a_fair_share_is_kept() -> None:
    used = {"x": 3.0, "y": 1.0, "z": 2.0}
    assert gives_way({"x": "a", "y": "a", "z": "b"}, used, "c") == ["y", "x"]
    assert gives_way({"x": "a", "y": "a", "z": "b"}, used, "b") == []
    assert gives_way({"x": "a", "y": "b", "z": "d"}, used, "c") == [] == gives_way({}, {}, "c")


def test_one_address_does_not_fill_the_queue_of_the_device(services: Services, visitors: Visitors) -> None:
    visitors.quotas = Quotas(waiting=2, waiting_each=2, copies_a_minute_each=9)
    keys = [visitors.begin_afresh(address) for address in ("a", "a", "a", "b")]
    names = [visitors.resolve(key) for key in keys]
    visitors._check_device(names[0])
    visitors._check_device(names[1])
    with pytest.raises(Forbidden, match="2 copies of your address"):
        visitors._check_device(names[2])
    visitors._check_device(names[3])


def test_one_address_asks_so_many_queries_a_minute(visitors: Visitors) -> None:
    ask = [NAME, enter_question("short", "student r stage1")]
    for _ in range(visitors.quotas.queries_a_minute_each):
        visitors.check("playground", "ask", ask)
    with pytest.raises(Forbidden, match="20 queries came from your address"):
        visitors.check("playground", "ask", ask)
