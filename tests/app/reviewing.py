"""What a reviewer of compressed rationales does over HTTP, for the session of `test_student_handlers`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.app.studio import Studio

SKIPPED = {"__type__": "update"}
"""What a handler leaves as it is."""


def read_and_edit(studio: Studio, run: str, until: Callable[[Callable[[], Any]], Any]) -> tuple[str, str, str]:
    """Look, edit, ask again, restore, take the approval back: the sample, what is seen of it, and its text then."""
    tiles, empty, waits, listed, _, seen, card, text, history, _ = studio("compress", "show_page", "p", "", "", run, "")
    assert "Stage 2 waits for you" in waits and "to review" in tiles and "data-open" in listed and empty == ""
    assert "The student, on its own" in card and "the teacher" in history
    sample = json.loads(seen)["sample"]
    assert f"data-open='{sample}' class='current'" in listed, "the first to review is open"
    again = studio("compress", "show_page", "p", "", seen, run, "half typed")
    assert again[6]["props"] == again[7] == SKIPPED, "typing is left alone"
    assert "No rationale matches" in studio("compress", "show_page", "p", "?q=nothing+says+this", seen, run, text)[3]
    assert "no rationale is approved yet" in studio.refused("compress", "go_on", "p", "", seen, run, text)
    evil = "<script>alert(1)</script>"
    said, *_, seen, card, kept, _, _ = studio("compress", "edit", "p", "", seen, run, evil)
    assert "Saved" in said and "<script>" not in card and kept == evil
    old = json.dumps({**json.loads(seen), "version": 1})
    assert "Nothing was overwritten" in studio.refused("compress", "edit", "p", "", old, run, "mine")
    assert "Say what should be different" in studio.refused("compress", "ask_again", "p", "", seen, run, evil, " ")
    assert "Asked" in studio("compress", "ask_again", "p", "", seen, run, evil, "shorter")[0]
    until(lambda: studio.services.review.one(run, sample)["version"] == 3)
    here = f"?open={sample}"
    *_, seen, card, written, _, _ = studio("compress", "show_page", "p", here, seen, run, "what I type meanwhile")
    assert "A newer version came in" in card and written == SKIPPED, "what is typed is kept"
    one = studio.services.review.one(run, sample)
    assert [v["note"] for v in one["versions"][1:]] == [None, None, "shorter"] and not one["approved"]
    assert "is not saved" in studio.refused("compress", "approve", "p", here, seen, run, "what I type meanwhile")
    said, *_, seen, _, restored, _, _ = studio("compress", "restore", "p", here, seen, run, text, 1)
    assert "newest again" in said and restored == studio.services.review.one(run, sample)["compressed"] == text
    said, *_, seen, _, _, _, _ = studio("compress", "withdraw", "p", here, seen, run, text)
    assert "Not approved any more" in said and not studio.services.review.one(run, sample)["approved"]
    return sample, seen, text


def approve_and_undo(studio: Studio, run: str, sample: str, seen: str, text: str) -> None:
    """Approving opens the next that is not approved, in the same answer; taking it back opens it again."""
    here = f"?show=unapproved&open={sample}"
    said, *_, listed, _, moved, _, following, _, _ = studio("compress", "approve", "p", here, seen, run, text)
    now = json.loads(moved)
    assert "Approved" in said and studio.services.review.one(run, sample)["approved"]
    assert now["sample"] != sample and now["last"] == sample and not now["approved"]
    assert following == studio.services.review.one(run, now["sample"])["compressed"]
    assert f"data-open='{sample}'" not in listed and f"data-open='{now['sample']}' class='current'" in listed
    said, *_, back, _, shown, _, _ = studio("compress", "withdraw", "p", here, moved, run, following)
    assert json.loads(back)["sample"] == sample and shown == text
    assert not studio.services.review.one(run, sample)["approved"]
