"""What an address asks for, whoever wrote it."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from app.web.address import View, read_view

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def test_what_is_not_asked_is_the_beginning_of_everything() -> None:
    assert read_view("") == read_view(None) == read_view("?project=p") == View()
    assert read_view("?page=3&q=two+words&show=all&sort=-text&open=id") == View(3, "two words", "all", "-text", "id")
    assert [read_view(f"?page={page}").page for page in ("0", "-1", "x", "9" * 30, "²")] == [1] * 5


@given(TEXT, TEXT)
def test_texts_arrive_as_they_were_sent(search: str, opened: str) -> None:
    view = read_view("?" + urlencode({"q": search, "open": opened}))
    assert (view.search, view.open) == (search.strip(), opened)


@given(st.text(max_size=200))
def test_no_address_is_too_strange(address: str) -> None:
    assert read_view(address).page >= 1
