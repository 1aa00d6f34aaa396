"""What the address of a page asks for, besides the project: a page of a list, a search, a filter, a sort, a record."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

_LONGEST = 300
_MOST_PAGES = 10_000_000

ADDRESS = """
if (window.location.search) setTimeout(() => { props.value = window.location.search; });
window.tacitView = (patch, push) => {
  const here = new URL(window.location.href);
  for (const [name, value] of Object.entries(patch)) {
    value === '' || value == null ? here.searchParams.delete(name) : here.searchParams.set(name, value);
  }
  if (here.href !== window.location.href) history[push ? 'pushState' : 'replaceState'](history.state, '', here);
  props.value = here.search;
  trigger('change');
};
window.addEventListener('popstate', () => { props.value = window.location.search; trigger('change'); });
"""
"""For `js_on_load` of the component that holds it: parts of a page change it by `tacitView`, Back and Forward too."""


@dataclass(frozen=True)
class View:
    """Pages count from 1. Each text is "" where nothing is asked; whoever reads it decides what it may be."""

    page: int = 1
    search: str = ""
    show: str = ""
    sort: str = ""
    open: str = ""


def read_view(address: str | None) -> View:
    """What the part behind the `?` of an address asks for; what can't be read is not asked."""
    try:
        given = parse_qs((address or "").removeprefix("?"), max_num_fields=50)
    except ValueError:
        return View()
    first = {name: values[0][:_LONGEST] for name, values in given.items()}
    page = first.get("page", "")
    number = int(page) if page.isascii() and page.isdecimal() and len(page) < 9 else 1
    return View(
        page=min(max(1, number), _MOST_PAGES),
        search=first.get("q", "").strip(),
        show=first.get("show", ""),
        sort=first.get("sort", ""),
        open=first.get("open", ""),
    )
