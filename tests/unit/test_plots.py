"""Names behind lines: none covers another, whatever ends where."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.usecases.training.progress import Curve
from app.web.plots_runs import Label, loss_plot, move_apart

SPOT = st.builds(Label, st.floats(0, 210), st.floats(-20, 290), st.floats(20, 120), st.sampled_from([15.0, 30.0]))


@given(st.lists(SPOT, max_size=6))
def test_no_name_covers_another(labels: list[Label]) -> None:
    placed = list(zip(labels, move_apart(labels, 264), strict=True))
    for (one, y), (other, other_y) in combinations(placed, 2):
        apart = abs(y - other_y) >= (one.height + other.height) / 2 - 1
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or beside


def test_a_name_that_has_room_stays_at_its_line() -> None:
    assert move_apart([Label(210, 200, 80, 15), Label(210, 100, 80, 15), Label(0, 100, 80, 15)], 264) == [200, 100, 100]


def test_stages_that_end_at_the_same_loss_are_named_one_below_the_other() -> None:
    curves = [Curve("r", f"stage{n}", 0, [1, 2], [2.0, 0.5 + n / 1000]) for n in (1, 2, 3)]
    notes = loss_plot(curves, [], 0.0, True).layout.annotations
    shifts = sorted(note.yshift for note in notes)
    assert len(notes) == 3 and all(high - low > 10 for low, high in pairwise(shifts))
