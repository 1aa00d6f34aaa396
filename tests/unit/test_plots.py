"""Names behind lines: none covers another, whatever ends where."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.usecases.training.progress import Curve
from app.web.plots_runs import Label, loss_plot, stack

SPOT = st.builds(Label, st.floats(-20, 290), st.sampled_from([15.0, 30.0, 45.0]))


@given(st.lists(SPOT, max_size=5))
def test_no_name_covers_another(labels: list[Label]) -> None:
    labels = sorted(labels, key=lambda label: -label.y)
    placed = list(zip(labels, stack(labels, 264), strict=True))
    for (one, y), (other, below) in pairwise(placed):
        assert y - below >= (one.height + other.height) / 2 - 1e-6, "in the order of the values"
    assert all(label.height / 2 - 1e-6 <= y <= 264 - label.height / 2 + 1e-6 for label, y in placed)


def test_a_name_that_has_room_stays_at_its_height() -> None:
    assert stack([Label(200, 15), Label(100, 15)], 264) == [200, 100]


def test_a_stage_that_ended_early_is_named_beside_the_last_update() -> None:
    curves = [Curve("r", "stage1", 0, [1, 2], [2.0, 1.0]), Curve("r", "stage2", 2, [1, 2, 3], [1.5, 1.0, 0.5])]
    notes = loss_plot(curves, [], 0.0, False).layout.annotations
    assert [note.x for note in notes] == [5, 5], "not where a later curve passes"


def test_stages_that_end_at_the_same_loss_are_named_one_below_the_other() -> None:
    curves = [Curve("r", f"stage{n}", 0, [1, 2], [2.0, 0.5 + n / 1000]) for n in (1, 2, 3)]
    notes = loss_plot(curves, [], 0.0, True).layout.annotations
    shifts = sorted(note.yshift for note in notes)
    assert len(notes) == 3 and all(high - low > 10 for low, high in pairwise(shifts))
