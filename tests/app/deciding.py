"""What a person decides on the page Select, called as its buttons call it."""

from __future__ import annotations

from typing import Any

from tests.app.studio import Studio


def review_by_hand(studio: Studio, settings: list[Any]) -> None:
    """Keep, drop, swap, edit and undo, one sample after the other, and whole searches."""

    def show(address: str = "?project=p", opened: str = "", chosen: str = "", seen: str = "") -> Any:
        return studio("decide", "show_page", "p", address, opened, chosen, seen)

    query, second = (row["id"] for row in studio.services.browse.page("p").rows[:2])
    samples = studio.services.browse.detail("p", query).samples
    first, other = samples[0]["id"], samples[1]["id"]
    listed, head, one, opened, chosen, text, seen, *_ = show()
    assert f"data-open='{query}'" in listed and "1-18 of 18 queries" in listed
    assert opened.startswith(query) and f"data-choose='{chosen}'" in one and "3 samples" in head
    assert seen == f"{chosen} 0" and text in {sample["rationale"] for sample in samples}
    assert (
        "No query matches" in show("?q=nobody+asks+this")[0]
        and show("?q=nobody+asks+this")[3] == " 1   nobody asks this"
    )
    assert show(f"?open={second}")[3].startswith(second), "what the address opens"
    assert show(opened=f"{second} 1   ")[3].startswith(second), "else what was open before in the same list"
    assert show("?show=edited", opened=f"{second} 1   ")[3].startswith(" "), "but not in another"
    assert "not there any more" in show("?open=gone")[1]
    on = ("p", "?project=p")
    assert studio("decide", "pick", *on, opened, other)[:2] == (samples[1]["rationale"], f"{other} 0")
    assert "Kept by hand" in studio("decide", "keep", *on, first)
    assert "Dropped by hand" in studio("decide", "drop", *on, first)
    assert "Swapped" in studio("decide", "swap", *on, first, other)
    assert "not kept, to swap it in" in studio.refused("decide", "swap", *on, first, other), "it is in already"
    assert "Nothing was decided" in studio.refused("decide", "keep", "p", f"?open={second}", first), "not seen yet"
    assert "Nothing was decided" in studio.refused("decide", "drop", *on, "")
    evil = "<img src=x onerror=alert(1)>"
    said, now = studio("decide", "edit", *on, first, evil, f"{first} 0")
    assert "Edit saved" in said and now.startswith(first)
    assert "Nothing was overwritten" in studio.refused("decide", "edit", *on, first, "mine", f"{first} 0")
    assert "Nothing was stored" in studio.refused("decide", "edit", *on, other, "mine", f"{first} 0")
    shown = studio("decide", "show_anew", *on, opened, first)
    assert "<img" not in shown[2] and shown[5] == evil and shown[6] == now
    assert "Drop 17 samples" in studio("decide", "ask_drop_all", *on, samples[0]["teacher"])[0]
    assert "Keep 17 samples" in studio("decide", "ask_keep_all", *on, samples[0]["teacher"])[0]
    studio("decide", "leave_all", "p")
    for action in ("keep", "drop"):
        assert "17 samples" in studio("decide", "decide_all", *on, samples[0]["teacher"], action)
    for _ in range(6):
        assert "Undone" in studio("decide", "undo", "p")
    assert "Nothing to undo" in studio("decide", "undo", "p")
    assert "Samples kept" in studio("decide", "numbers", "p", *settings)[0]
