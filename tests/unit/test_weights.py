"""Weights sum to exactly 1, whatever is moved and locked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.usecases.selection.weights import PARTS, share_out


def parts_of(weights: list[float]) -> list[int]:
    parts = [round(PARTS * weight) for weight in weights]
    assert [part / PARTS for part in parts] == weights, "each is a whole number of parts"
    return parts


@st.composite
def settings(draw: st.DrawFn) -> tuple[list[float], int, set[int]]:
    """Weights that summed to 1 until one of them was moved, and which are locked."""
    cuts = sorted(draw(st.lists(st.integers(0, PARTS), min_size=1, max_size=9)))
    parts = [high - low for low, high in zip([0, *cuts], [*cuts, PARTS], strict=True)]
    places = st.integers(0, len(parts) - 1)
    moved, locked = draw(places), draw(st.sets(places))
    weights = [part / PARTS for part in parts]
    weights[moved] = draw(st.floats(0, 1))
    return weights, moved, locked


@given(settings())
def test_the_sum_is_exactly_one_and_locked_weights_stay(given_: tuple[list[float], int, set[int]]) -> None:
    weights, moved, locked = given_
    shared = share_out(weights, moved, locked)
    parts = parts_of(shared)
    assert sum(parts) == PARTS and min(parts) >= 0
    assert all(shared[place] == weights[place] for place in locked - {moved})


@given(settings())
def test_a_weight_goes_where_it_is_moved_unless_others_can_not_make_room(
    given_: tuple[list[float], int, set[int]],
) -> None:
    weights, moved, locked = given_
    shared = share_out(weights, moved, locked)
    held = sum(round(PARTS * weights[place]) for place in locked - {moved})
    free = [place for place, weight in enumerate(weights) if place != moved and place not in locked and weight]
    most = PARTS - held
    assert round(PARTS * shared[moved]) == (min(round(PARTS * weights[moved]), most) if free else most)
    zero = [place for place, weight in enumerate(weights) if place != moved and not weight]
    assert all(shared[place] == 0 for place in zero), "what is not weighed is left out of the sharing"


def test_others_share_in_proportion_and_the_last_takes_the_remainder() -> None:
    assert share_out([0.5, 0.334, 0.333, 0.0], 0) == [0.5, 0.25, 0.25, 0.0]
    assert share_out([0.5, 0.333, 0.333, 0.001], 0) == [0.5, 0.249, 0.249, 0.002]
    assert share_out([0.5, 0.3, 0.5], 0, {1}) == [0.5, 0.3, 0.2]
    assert share_out([0.9, 0.3, 0.5], 0, {1}) == [0.7, 0.3, 0.0], "no more than the locked ones leave"
    assert share_out([0.4, 0.0, 0.0], 0) == [1.0, 0.0, 0.0], "a weight that stands alone stays 1"
