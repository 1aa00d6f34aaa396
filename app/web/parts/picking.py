"""Rows of a list that a person chooses by their boxes, what can be done with all of them, and the way back.

`LISTING + PICKING` makes the boxes of a component that shows a listing work: x and a click choose, Shift chooses up to
the row before. What is chosen stays over the pages of one list and goes with another search, filter or scope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

PICKING = """
const chosen = new Set();
let of = null, last = '';
const boxes = () => [...element.querySelectorAll('[data-pick]')];
const look = () => {
  const list = element.querySelector('.listing');
  if (list && of !== list.dataset.of) { of = list.dataset.of; chosen.clear(); last = ''; }
};
const draw = () => {
  look();
  const own = boxes();
  for (const row of element.querySelectorAll('tr[data-open]')) {
    const box = row.querySelector('[data-pick]');
    if (box) box.checked = chosen.has(box.dataset.pick); else chosen.delete(row.dataset.open);
    row.classList.toggle('chosen', Boolean(box?.checked));
  }
  const all = element.querySelector('[data-pick-all]'), bar = element.querySelector('.bulk');
  if (all) {
    all.disabled = !own.length;
    all.checked = own.length > 0 && own.every((box) => box.checked);
    all.indeterminate = !all.checked && own.some((box) => box.checked);
  }
  if (!bar) return;
  bar.hidden = !chosen.size;
  bar.querySelector('b').textContent = `${chosen.size.toLocaleString('en')} chosen`;
};
const turn = (box, on) => on ? chosen.add(box.dataset.pick) : chosen.delete(box.dataset.pick);
window.tacitAct = (action, ids) => { window.tacitActed = [action, JSON.stringify(ids)]; trigger('apply'); };
window.tacitUnchoose = () => { chosen.clear(); last = ''; draw(); };
element.addEventListener('click', (event) => {
  const on = (name) => event.target.closest(`[data-${name}]`);
  const box = on('pick');
  look();
  if (on('act-row')) window.tacitAct(on('act-row').dataset.actRow, [on('act-row').dataset.of]);
  else if (box) {
    const own = boxes(), from = own.findIndex((other) => other.dataset.pick === last), to = own.indexOf(box);
    const range = event.shiftKey && from >= 0 ? own.slice(Math.min(from, to), Math.max(from, to) + 1) : [box];
    range.forEach((other) => turn(other, box.checked));
    last = box.dataset.pick;
    draw();
  } else if (on('pick-all')) {
    const all = on('pick-all').checked;
    boxes().forEach((other) => turn(other, all));
    draw();
  } else if (on('pick-none')) window.tacitUnchoose();
  else if (on('bulk')) window.tacitAct(on('bulk').dataset.bulk, [...chosen]);
});
element.addEventListener('keydown', (event) => { if (event.key === 'Escape' && chosen.size) window.tacitUnchoose(); });
watch('value', draw);
setTimeout(draw);
"""
"""For `js_on_load`, behind `LISTING`: the component's `apply` event is sent when something is to be done."""
ACTED = "(...given) => [...given.slice(0, -2), ...(window.tacitActed || ['', '[]'])]"
"""Before `apply` is sent: the action and the ids, as JSON, in the place of the last two values."""
UNCHOOSE = "() => window.tacitUnchoose?.()"
"""After what was asked for is done."""
MOST = 2_000
"""Rows that are taken at a time."""


def bulk_html(picks: Sequence[tuple[str, str]]) -> str:
    """The bar that says how many are chosen; `picks` are pairs of an action and its title."""
    buttons = "".join(
        f"<button type='button' class='button small' data-bulk='{escape(action)}'>{escape(title)}</button>"
        for action, title in picks
    )
    clear = "<button type='button' class='button small quiet' data-pick-none>Clear</button>"
    return f"<div class='bulk of-copy' role='status' hidden><b></b>{buttons}{clear}</div>"


def pick_all_html() -> str:
    """The head of the column of boxes."""
    box = "<input type='checkbox' data-pick-all aria-label='Choose all rows of this page'>"
    return f"<th scope='col' class='tick of-copy'><label>{box}</label></th>"


def pick_html(row: Mapping[str, Any], name: str) -> str:
    """A row's box, named by what the row says first; none where its `pick` is None (else: what is sent of it)."""
    value = row.get("pick", row["id"])
    if value is None:
        return "<td class='tick of-copy'></td>"
    named = f"data-pick='{escape(str(value))}' aria-label='{escape(f'Choose: {name[:80]}')}'"
    return f"<td class='tick of-copy'><label><input type='checkbox' {named}></label></td>"


def act_html(action: str, title: str, id_: str, name: str) -> str:
    """A button of one row that does for it alone what a choice of several does; `name` is what the row is called."""
    given = f"data-act-row='{escape(action)}' data-of='{escape(id_)}' aria-label='{escape(f'{title}: {name}')}'"
    return f"<button type='button' class='button small' {given}>{escape(title)}</button>"


def read_ids(text: Any) -> list[str]:
    """The ids that a page sent, each once; none where they can't be read."""
    try:
        ids = json.loads(str(text or "[]"))
    except ValueError:
        return []
    known = [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else []
    return list(dict.fromkeys(known))[:MOST]


def toast_html(message: str, action: str = "", ids: Sequence[str] = ()) -> str:
    """What was just done to many rows, above the page for a while; with an action, a button that takes it back."""
    undo = ""
    if action:
        given = f"data-act='{escape(action)}' data-ids='{escape(json.dumps(list(ids)))}'"
        undo = f"<button type='button' class='button small' {given}>Undo</button>"
    return f"<div class='toast' role='status'><span>{escape(message)}</span>{undo}</div>"
