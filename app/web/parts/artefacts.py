"""What can be taken along as cards: what it is, how large, how it stands, and one button a form.

`ARTEFACTS` makes the cards' buttons ask for a file, and ask again by itself once what was prepared is ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

from app.usecases.exports.artefacts import Artefact
from app.web.parts.tiles import badge_html

ARTEFACTS = """
let wanted = '';
const name = (button) => `${button.dataset.take} ${button.dataset.form}`;
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-take]');
  if (!button || button.disabled) return;
  button.disabled = true;
  setTimeout(() => { button.disabled = false; }, 2000);
  if ('later' in button.dataset) { wanted = name(button); window.tacitPrepare?.(button.dataset.form); return; }
  window.tacitTaken = [button.dataset.take, button.dataset.form];
  trigger('click');
});
watch('value', () => {
  const there = [...element.querySelectorAll('[data-take]')].find((button) => name(button) === wanted);
  if (!there || 'later' in there.dataset || there.disabled) return;
  wanted = '';
  if (!('changed' in there.dataset)) there.click();
});
"""
"""For `js_on_load` of the component that shows the cards."""
PREPARE = "window.tacitPrepare = (form) => { window.tacitForm = form; trigger('click'); };"
"""For `js_on_load` of the component whose click prepares a student."""
TAKEN = "(...given) => [...given.slice(0, -2), ...(window.tacitTaken || ['', ''])]"
"""Before the cards' click is sent: what was asked for, in the place of the last two values."""
PREPARED = "(...given) => [...given.slice(0, -1), window.tacitForm || '']"
"""The same before a student is prepared: its exporter, in the place of the last value."""
_TONES: dict[str, Literal["", "good", "warn", "bad", "accent"]] = {
    "ready": "good",
    "changed": "warn",
    "preparing": "accent",
    "checking": "accent",
    "failed": "bad",
    "refused": "warn",
}
_THERE = ("ready", "changed", "not checked")
"""States in which there is something to download."""


def artefacts_html(artefacts: Sequence[Artefact], prepares: bool = True) -> str:
    """The cards; those that the run did not learn from are folded.

    `prepares`: whether students can be prepared here.
    """
    used = "".join(_card_html(one, prepares) for one in artefacts if one.used)
    other = "".join(_card_html(one, prepares) for one in artefacts if not one.used)
    folded = (
        f"<details class='more'><summary>Rows for other plans</summary><div class='cards'>{other}</div></details>"
        if other
        else ""
    )
    return f"<div class='cards artefacts'>{used}</div>{folded}" if used else ""


def _card_html(one: Artefact, prepares: bool) -> str:
    badge = badge_html("not available" if one.state == "missing" else one.state, _TONES.get(one.state, ""))
    size = f"<span class='quiet'>{escape(one.size)}</span>" if one.size else ""
    note = f"<p class='quiet'>{escape(one.note)}</p>" if one.note else ""
    return (
        f"<div class='card artefact'><div class='title'>{escape(one.title)}</div>"
        f"<div class='facts'>{badge}{size}</div><p>{escape(one.help)}</p>{note}{_buttons_html(one, prepares)}</div>"
    )


def _buttons_html(one: Artefact, prepares: bool) -> str:
    if one.state in ("missing", "refused"):
        return ""
    if one.state not in _THERE and not prepares:
        return "<p class='quiet'>Preparing it is left out of this demo.</p>"
    buttons = []
    if one.state == "not checked" and prepares:
        ((form, title),) = one.forms
        buttons.append(_button_html(one, form, f"Check and download {title}", " data-later", one.main))
        buttons.append(_button_html(one, form, "Download unchecked", "", False))
        return f"<div class='buttons'>{''.join(buttons)}</div>"
    for place, (form, title) in enumerate(one.forms):
        said, state = _say_button(one, title if place else f"Download {title}")
        buttons.append(_button_html(one, form, said, state, place == 0 and one.main))
    return f"<div class='buttons'>{''.join(buttons)}</div>"


def _button_html(one: Artefact, form: str, said: str, state: str, primary: bool) -> str:
    kind = "button primary" if primary else "button"
    label = escape(f"{said if ' ' in said else f'Download {said}'}: {one.title}")
    asks = f"data-take='{escape(one.id)}' data-form='{escape(form)}'{state} aria-label='{label}'"
    return f"<button type='button' class='{kind}' {asks}>{escape(said)}</button>"


def _say_button(one: Artefact, ready: str) -> tuple[str, str]:
    """What a button says, and what it is told besides."""
    if one.state in _THERE:
        return ready, " data-changed" if one.state == "changed" else ""
    if one.state in ("preparing", "checking"):
        return one.state.capitalize(), " data-later disabled"
    return "Prepare again and download" if one.state == "failed" else "Prepare and download", " data-later"
