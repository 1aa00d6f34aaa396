"""A small square of numbers from 0 to 1, each cell as deep as its number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape


def matrix_html(
    names: Sequence[str], cells: Sequence[Sequence[float]], caption: str, outlined: Collection[int] = ()
) -> str:
    """Numbers by pair of `names`, "-" for NaN; the cells where two of the `outlined` places meet have a frame.

    Columns are headed by the beginning of their name up to its first blank.
    """
    head = "".join(f"<th scope='col' title='{escape(name)}'>{escape(name.split(' ')[0])}</th>" for name in names)
    lines = []
    for y, name in enumerate(names):
        row = "".join(_cell_html(value, x, y, outlined) for x, value in enumerate(cells[y]))
        lines.append(f"<tr><th scope='row'>{escape(name)}</th>{row}</tr>")
    return (
        f"<table class='matrix'><caption>{escape(caption)}</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _cell_html(value: float, x: int, y: int, outlined: Collection[int]) -> str:
    kind = "self" if x == y else "pair" if {x, y} <= set(outlined) else ""
    said = f" class='{kind}'" if kind else ""
    if value != value:
        return f"<td{said}>-</td>"
    return f"<td{said} style='--depth:{min(1.0, max(0.0, value)):.2f}'>{value:.2f}</td>"
