"""What a person does with a prompt on the page Teachers, called as its parts call it."""

from __future__ import annotations

from tests.app.studio import Studio


def writes_and_reads_prompts(studio: Studio) -> None:
    """A new version, two people at once, and how it reads on one query or another."""
    assert "lacks {{ query }}" in studio.refused("prompts", "save", "tickets", "{{ factors }}", "1")
    text = "Be brief; score {{ factors }}.\n=====\n{{ query }}"
    assert "Version 2 is saved" in studio("prompts", "save", "tickets", text, "1")[0]
    assert "Nothing was overwritten" in studio.refused("prompts", "save", "tickets", f"{text} Please.", "1")
    studio("prompts", "can_save", "tickets", text)
    assert "query 0?" in studio("prompts", "preview", "tickets", text, "", 0)
    assert "lacks {{ query }}" in studio("prompts", "preview", "tickets", "{{ factors }}", "", 0), "said in its place"
    assert studio("prompts", "pick", "tickets", 2, "", 0)[0] == text
    assert studio.services.prompt.versions("tickets")[2] == text
    shown, place = studio("prompts", "turn_on", "tickets", text, "", 0)
    assert "query 1?" in shown and "query 2 of 6" in shown and place == 1
    shown, place = studio("prompts", "turn_back", "tickets", text, "", 0)
    assert "query 5?" in shown and place == 5, "before the first stands the last"
    shown, place = studio("prompts", "seek", "tickets", text, "Y 4?", 5)
    assert "query 4?" in shown and "query 1 of 1" in shown and place == 0
    assert "no query found" in studio("prompts", "seek", "tickets", text, "nowhere", 0)[0]
    assert studio("prompts", "turn_on", "tickets", "{{ factors }}", "", 2)[1] == 3, "a wrong text keeps the place"
