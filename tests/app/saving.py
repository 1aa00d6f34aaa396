"""The page Save, called over HTTP on a project that has too few held-out queries for it."""

from __future__ import annotations

from tests.app.studio import Studio

WISH = (2, "tokens", "confidence", [], None, "90", "0.10")
"""The form as it opens: points, what to save, the rule; who is asked, who last, the confidence, the device's price."""


def says_what_is_lacking(studio: Studio, run: str) -> None:
    studio.open("save", "p")
    chosen, students, teacher, said, *_ = studio("save", "choose", "p", "", None, *WISH)
    assert chosen["value"] == run and "needs 10 of each" in said
    assert students["value"] and teacher["value"] in {"forward", "tabulate", "eliminate"}
    said = studio("save", "show", "p", *WISH, run)[0]
    assert "Of 6 held-out queries" in said and "needs 10 of each" in said
    assert "needs 10 of each" in studio.refused("save", "take", "p", *WISH, run)
    assert studio("save", "read_meters", "p")[0] == "" and "0 queries imported" in studio("save", "take_in", "p")
    assert "give an amount" in studio.refused("save", "show", "p", *WISH[:-1], "cheap", run)
