"""The page Save, called over HTTP on a project that has too few held-out queries for it."""

from __future__ import annotations

from tests.app.studio import Studio

WISH = (2, "tokens", "confidence", [], None, "90", "0.10")
"""The form as it opens: points, what to save, the rule; who is asked, who last, the confidence, the device's price."""


def says_what_is_lacking(studio: Studio, run: str) -> None:
    studio.open("save", "p")
    chosen, students, teacher, rule, said, *_ = studio("save", "choose", "p", "", None, *WISH)
    assert chosen["value"] == run and "needs 10 of each" in said
    assert rule["value"] == "confidence" and "two-draws" not in [name for _, name in rule["choices"]]
    assert students["value"] and teacher["value"] in {"forward", "tabulate", "eliminate"}
    said = studio("save", "show", "p", *WISH, run)[0]
    assert "Of 6 held-out queries" in said and "needs 10 of each" in said
    assert "needs 10 of each" in studio.refused("save", "take", "p", *WISH, run)
    meters = studio("gateways", "read_meters", "p")
    assert meters[0] == "" and "0 queries imported" in studio("gateways", "take_in", "p")
    _starts_no_gateway(studio, run)
    _draws_twice(studio, run, students["value"])
    assert "give an amount" in studio.refused("save", "show", "p", *WISH[:-1], "cheap", run)


def _draws_twice(studio: Studio, run: str, students: list[str]) -> None:
    assert "a number from 0 to 2" in studio("second_draws", "quote", "p", run, students, "hot")
    said = studio("second_draws", "quote", "p", run, students, "0.7")
    assert "about" in said and "tokens" in said and "--second-draw 0.7 --of" in said
    told, timer = studio("second_draws", "order", "p", run, students, "0.7")
    assert "Being drawn" in told and timer["active"]
    studio.finish()
    said, button = studio.find("second_draws", "quote")("p", run, students, "0.7")
    assert "were drawn a second time" in said and not button.interactive
    rule = studio("save", "choose", "p", "", run, *WISH)[3]
    assert "two-draws" in [name for _, name in rule["choices"]]
    assert "drawn at 0.7 already" in studio.refused("second_draws", "order", "p", run, students, "0.7")


def _starts_no_gateway(studio: Studio, run: str) -> None:
    assert "Serves the policy" in studio("gateways", "read_state", "p")[0]
    assert "needs 10 of each" in studio.refused("gateways", "start", "p", *WISH, run, "", "")
    assert "Port: 99999 is not allowed" in studio.refused("gateways", "start", "p", *WISH, run, "99999", "")
    assert "give a cap in US dollars" in studio.refused("gateways", "start", "p", *WISH, run, "", "much")
    assert "Serves the policy" in studio("gateways", "stop", "p")[0]
