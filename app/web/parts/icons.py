"""Icons as inline SVG, drawn on a grid of 24 with one stroke."""

from __future__ import annotations

_PATHS = {
    "home": "M4 11l8-7 8 7M6 10v10h12V10M10 20v-6h4v6",
    "overview": "M4 5h16M7 10h10M9 15h6M11 20h2",
    "data": "M4 6c0-4 16-4 16 0s-16 4-16 0zM4 6v12c0 4 16 4 16 0V6M4 12c0 4 16 4 16 0",
    "teachers": "M12 4L2 9l10 5 10-5-10-5zM6 11.5V16c0 1.5 2.7 3 6 3s6-1.5 6-3v-4.5M22 9v6",
    "label": "M4 5h16v11H9l-5 4V5zM8 9h8M8 12h5",
    "select": "M4 5h16l-6 8v6l-4-2v-4L4 5z",
    "compress": "M4 4l6 6M10 5v5H5M20 20l-6-6M14 19v-5h5",
    "train": "M3 18l5-7 4 4 4-8 5 6M3 21h18",
    "evaluate": "M4 20V10M10 20V4M16 20v-7M21 20H3",
    "study": "M9 3v6l-5 9a2 2 0 002 3h12a2 2 0 002-3l-5-9V3M8 3h8M7 15h10",
    "save": "M4 20h5v-5h5v-5h5V5M4 20V9M4 9l-2 3M4 9l2 3",
    "playground": "M4 5h12v9H8l-4 3V5zM19 9h1v11l-3-2h-7",
    "exports": "M12 3v12M7 10l5 5 5-5M4 20h16",
    "jobs": "M12 7v5l3 2M12 3a9 9 0 100 18 9 9 0 000-18z",
    "down": "M6 9l6 6 6-6",
    "up": "M6 15l6-6 6 6",
    "next": "M5 12h14M13 6l6 6-6 6",
    "previous": "M19 12H5M11 6l-6 6 6 6",
    "sun": "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
    "moon": "M20 14.5A8.5 8.5 0 119.5 4a7 7 0 0010.5 10.5z",
    "more": "M5 12h.01M12 12h.01M19 12h.01",
    "mark": "M5 6h14M8 12h8M11 18h2",
    "good": "M5 12l5 5 9-11",
    "warn": "M12 4l9 16H3L12 4zM12 10v4M12 17v.5",
    "file": "M6 3h8l4 4v14H6V3zM14 3v4h4",
    "key": "M14 10a4 4 0 11-3.2-3.9M12 9l8 8v3h-3l-2-2",
    "link": "M10 14l4-4M8 12l-2 2a3.5 3.5 0 005 5l2-2M16 12l2-2a3.5 3.5 0 00-5-5l-2 2",
}
"""One path each, by name."""
NAMES = tuple(_PATHS)
"""The icons that there are."""


def icon_html(name: str, kind: str = "") -> str:
    """An icon that says nothing by itself: the words stand beside it. `kind` is a class of its own."""
    said = f" class='{kind}'" if kind else ""
    shape = "fill='none' stroke='currentColor' stroke-width='1.8' stroke-linecap='round' stroke-linejoin='round'"
    return f"<svg{said} viewBox='0 0 24 24' aria-hidden='true' {shape}><path d='{_PATHS[name]}'/></svg>"
