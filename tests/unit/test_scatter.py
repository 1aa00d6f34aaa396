"""Labels of the small plot of dots: none stands on another dot or on another label."""

from __future__ import annotations

import pytest

from app.usecases.evaluation.charts import Box
from app.web.parts.scatter import ScatterDot, place_labels, scatter_html

DOTS = [
    ScatterDot(79.3, 0.90, "forward", "#000000", "best teacher 0.90"),
    *(
        ScatterDot(x, y, "other", "#000000")
        for x, y in ((80, 0.82), (87, 0.86), (25, 0.45), (43, 0.5), (47, 0.08), (5, 0.61))
    ),
    ScatterDot(4.9, 0.73, "student", "#000000", "student 0.73"),
    ScatterDot(22, 0.08, "vanilla", "#000000", "untrained 0.08"),
]


@pytest.mark.parametrize("size", [(252.0, 189.0), (286.0, 119.0)])
def test_a_label_covers_no_dot_and_no_label(size: tuple[float, float]) -> None:
    most = 92.0
    spots = [(size[0] * dot.x / most, size[1] * (1 - dot.y)) for dot in DOTS]
    placed = place_labels(DOTS, most, size)
    assert sorted(placed) == [0, 7, 8]
    boxes = {
        n: Box(box.left + spots[n][0], box.top + spots[n][1], box.right + spots[n][0], box.bottom + spots[n][1])
        for n, box in placed.items()
    }
    marks = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    assert not [n for n, box in boxes.items() if any(box.meets(mark) for mark in marks)]
    assert not [n for n, box in boxes.items() if any(box.meets(other) for m, other in boxes.items() if m != n)]


def test_a_label_is_drawn_once_for_wide_and_once_for_narrow_screens() -> None:
    drawn = scatter_html(DOTS, "tokens", "accuracy")
    assert drawn.count("label wide") == drawn.count("label narrow") == 3
