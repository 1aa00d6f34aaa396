"""Long lists: searched, filtered, sorted and paged by the store, one page of them as HTML.

What is asked for stands in the address (`app.web.address.View`), so that Back and a shared link lead to the same rows.
`LISTING` makes a component's rows, heads, filters and pager write there; `app.web.lists` binds Download CSV and boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from app.web.address import View
from app.web.parts.icons import icon_html
from app.web.parts.picking import bulk_html, pick_all_html, pick_html
from app.web.parts.tables import cell_html, side_of, text_of

LISTING = """
let waiting;
const go = (patch, push) => window.tacitView && window.tacitView(patch, push);
element.addEventListener('click', (event) => {
  const on = (name) => event.target.closest(`[data-${name}]`);
  const row = on('open');
  if (on('page')) { if (!on('page').disabled) go({page: on('page').dataset.page, open: ''}, true); }
  else if (on('sort')) go({sort: on('sort').dataset.sort, page: ''}, true);
  else if (on('show')) go({show: on('show').dataset.show, page: '', open: ''}, true);
  else if (on('csv')) {
    const button = on('csv');
    button.disabled = true;
    setTimeout(() => { button.disabled = false; }, 3000);
    trigger('download');
  }
  else if (event.target.closest('a, input, label, [data-copy], [data-act-row]')) return;
  else if (row) {
    element.querySelectorAll('tr.current').forEach((other) => other.classList.remove('current'));
    row.closest('tr')?.classList.add('current');
    go({open: row.dataset.open}, true);
  }
});
element.addEventListener('input', (event) => {
  if (event.target.type !== 'search') return;
  clearTimeout(waiting);
  const text = event.target.value;
  waiting = setTimeout(() => { element.dataset.typed = '1'; go({q: text, page: '', open: ''}, false); }, 250);
});
watch('value', () => {
  const box = element.querySelector('input[type=search]');
  if (element.dataset.typed && box && document.activeElement === document.body) {
    box.focus(); box.setSelectionRange(box.value.length, box.value.length);
  }
  delete element.dataset.typed;
});
"""
"""For `js_on_load` of the component that shows a listing."""


CUT = 160
"""Characters of a long text that rows hold: who copies such a cell is given the text of the open record."""


@dataclass(frozen=True)
class Column:
    """A column: the key of its values in a row, its title, by what it is sorted ("": it isn't), and its side.

    Columns of nothing but numbers stand to the right anyway.
    """

    key: str
    title: str
    sort: str = ""
    right: bool = False


@dataclass(frozen=True)
class Listing:
    """One page of a long list.

    `rows` are those of this page, each with an `id`; `begin` counts from 0; `total` is how many were found.
    `filters` are titles by value; `searched` says what the search looks through, "" where there is none. `picks` are
    what can be done with chosen rows, pairs of an action and its title: then rows have boxes; `scope` tells lists of
    the same page apart, as of two runs. `csv`: the rows can be downloaded.
    """

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[Column]
    view: View
    begin: int
    total: int
    size: int
    noun: str
    filters: Mapping[str, str]
    searched: str = ""
    empty: str = "Nothing here matches."
    picks: Sequence[tuple[str, str]] = ()
    scope: str = ""
    csv: bool = False


def listing_html(listing: Listing, cards: str = "") -> str:
    """Tools, rows and pager; a row opens its record. `cards` is HTML in the place of a table.

    Where all cards stand on one page nobody needs to be told how many there are.
    """
    tools = _search_html(listing) + _filters_html(listing)
    sides = [_side(column, listing) for column in listing.columns]
    head = pick_all_html() if listing.picks else ""
    head += "".join(_head_html(column, side, listing) for column, side in zip(listing.columns, sides, strict=True))
    body = "".join(_row_html(row, sides, listing) for row in listing.rows)
    table = f"<div class='plain'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    shown = (cards or table) if listing.rows else f"<div class='empty'><p>{escape(listing.empty)}</p></div>"
    row = f"<div class='tools'>{tools}</div>" if tools else ""
    pager = "" if cards and listing.total <= listing.size else _pager_html(listing)
    bulk = bulk_html(listing.picks) if listing.picks else ""
    of = escape(f"{listing.scope} {listing.view.show} {listing.view.search}")
    return f"<div class='listing' data-of='{of}'>{row}{bulk}{shown}{pager}</div>"


def _search_html(listing: Listing) -> str:
    if not listing.searched:
        return ""
    said, text = escape(listing.searched), escape(listing.view.search)
    return f"<input type='search' placeholder='{said}' aria-label='{said}' value='{text}' maxlength='300'>"


def _filters_html(listing: Listing) -> str:
    chips = []
    first = next(iter(listing.filters), "")
    chosen = listing.view.show if listing.view.show in listing.filters else first
    for value, title in listing.filters.items():
        pressed = "true" if value == chosen else "false"
        sent = "" if value == first else value
        attributes = f"data-show='{escape(sent)}' aria-pressed='{pressed}'"
        chips.append(f"<button type='button' class='chip' {attributes}>{escape(title)}</button>")
    return "".join(chips)


def _head_html(column: Column, side: str, listing: Listing) -> str:
    title = escape(column.title)
    if not column.sort:
        return f"<th scope='col'{side}>{title}</th>"
    up, down = column.sort, f"-{column.sort}"
    now = listing.view.sort
    sorted_ = " aria-sort='ascending'" if now == up else " aria-sort='descending'" if now == down else ""
    mark = icon_html("up") if now == up else icon_html("down") if now == down else ""
    sent = down if now == up else up
    return (
        f"<th scope='col'{side}{sorted_}><button type='button' data-sort='{escape(sent)}'>{title}{mark}</button></th>"
    )


def _side(column: Column, listing: Listing) -> str:
    return " class='right'" if column.right else side_of([row.get(column.key) for row in listing.rows])


def _row_html(row: Mapping[str, Any], sides: Sequence[str], listing: Listing) -> str:
    id_ = escape(str(row["id"]))
    current = " class='current'" if str(row["id"]) == listing.view.open else ""
    first = listing.columns[0].key if listing.columns else ""
    cells = [pick_html(row, text_of(row.get(first)))] if listing.picks else []
    for place, (column, side) in enumerate(zip(listing.columns, sides, strict=True)):
        shown = cell_html(row.get(column.key))
        shown = f"<button type='button' class='open' data-open='{id_}'>{shown}</button>" if place == 0 else shown
        cut = " data-cut" if place == 0 and len(text_of(row.get(first))) >= CUT else ""
        cells.append(f"<td{side}{cut}>{shown}</td>")
    return f"<tr data-open='{id_}'{current}>{''.join(cells)}</tr>"


def _pager_html(listing: Listing) -> str:
    last = min(listing.total, listing.begin + len(listing.rows))
    said = (
        f"{listing.begin + 1:,}-{last:,} of {listing.total:,} {listing.noun}" if listing.rows else f"0 {listing.noun}"
    )
    page = listing.begin // listing.size + 1
    back, on = listing.begin > 0, last < listing.total
    csv = ""
    if listing.csv and listing.rows:
        named = "aria-label='Download CSV' title='Download CSV'"
        csv = f"<button type='button' class='button small quiet' data-csv {named}>{icon_html('exports')}CSV</button>"
    if not back and not on:
        return f"<div class='pager'><span>{escape(said)}</span><span class='space'></span>{csv}</div>"
    return (
        f"<div class='pager'><span>{escape(said)}</span><span class='space'></span>{csv}"
        f"{_turn_html(page - 1 if page > 2 else '', back, icon_html('previous') + 'Previous')}"
        f"{_turn_html(page + 1, on, 'Next' + icon_html('next'))}</div>"
    )


def _turn_html(page: int | str, can: bool, inner: str) -> str:
    state = "" if can else " disabled"
    return f"<button type='button' class='button small' data-page='{page}'{state}>{inner}</button>"
