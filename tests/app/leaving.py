"""Leaving a provider on the page Data: traces are looked at, personal data is decided on, and they are imported."""

from __future__ import annotations

import json
from pathlib import Path

from gradio_client import handle_file

from tests.app.studio import Studio


def leave_provider(studio: Studio, tmp_path: Path) -> None:
    """Call each handler of that part; the file has personal data, and a row that can't be read."""
    assert "tacit import-queries leaving queries.csv" in studio("home", "_say_new", "leaving", "custom", "auto")
    studio("home", "create", "leaving", "custom", "packaged")
    studio.open("data", "leaving")
    asked = [{"role": "user", "content": "Is <b>ann@x.org</b> a customer?"}, {"role": "assistant", "content": "yes"}]
    rows = [{"model": "gpt-4o", "messages": asked}, {"model": "gpt-4o", "prompt": "Is it?", "completion": "no"}, {}]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "other.jsonl").write_text('{"a": 1}')
    files, other = [handle_file(str(tmp_path / "log.jsonl"))], [handle_file(str(tmp_path / "other.jsonl"))]
    settings = ["", "", 0.5, "reply", "text", None]
    masked = [*settings[:-1], "mask"]
    shown, _, rest = studio("traces", "preview", "leaving", files, *settings)
    assert ">2<" in shown and "With personal data" in shown
    assert "e-mail addresses" in shown and "<b>" not in rest and "neither messages nor a prompt" in rest
    look, decide = studio.find("traces", "preview"), studio.find("traces", "decide")
    path = [str(tmp_path / "log.jsonl")]
    more, _, question, take, *_ = look("leaving", path, *settings)
    assert more.visible and question.visible and not take.interactive, "nothing is imported before it is decided"
    assert decide("leaving", path, *masked, True)[0].interactive
    assert not decide("leaving", None, *masked, True)[0].interactive
    (tmp_path / "call.jsonl").write_text(json.dumps({"messages": [*asked[:1], {"role": "assistant", "content": ""}]}))
    nothing = [str(tmp_path / "call.jsonl")]
    *_, taken = look("leaving", nothing, *masked)
    assert not decide("leaving", nothing, *masked, taken)[0].interactive, "there is nothing to import"
    command = studio("traces", "decide", "leaving", files, *masked)
    assert "tacit import-traces leaving log.jsonl --personal mask --heldout 0.5" in command
    assert "Say what is to become" in studio.refused("traces", "store", "leaving", files, *settings)
    assert "look like no format" in studio("traces", "preview", "leaving", other, *settings)[0]
    assert "Drop a file of traces first" in studio.refused("traces", "store", "leaving", None, *masked)
    assert "".join(map(str, studio("traces", "forget", "leaving")[:2])) == ""
    said = studio("traces", "store", "leaving", files, *masked)[0]
    assert "2 traces taken as Plain chat logs (1 file): 2 queries added" in said and "was masked" in said
    assert "Is &lt;b&gt;[email 1]&lt;/b&gt;" in studio("queries", "show_page", "leaving", "")[0]
    assert studio("traces", "preview", "leaving", None, *settings)[0] == ""
