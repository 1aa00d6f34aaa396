"""Personal data: what has its form is found, what only looks like it is not, and masks say what is equal."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.personal import PERSONAL_TITLES, Masks, find_personal


def found(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.begin : one.end]) for one in find_personal(text)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "ann.lee+x@mail.example.co.uk"),
        ("email", "jürgen@example.de"),
        ("phone", "+49 170 1234567"),
        ("phone", "(555) 123-4567"),
        ("phone", "555-123-4567"),
        ("phone", "030/1234567"),
        ("phone", "06 12 34 56 78"),
        ("phone", "0049 170 1234567"),
        ("phone", "01.23.45.67.89"),
        ("phone", "01-23-45-67-89"),
        ("phone", "0049-30-1234-567"),
        ("card", "4111 1111 1111 1111"),
        ("card", "378282246310005"),
        ("card", "5500-0000-0000-0004"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "GB82WEST12345698765432"),
        ("key", "sk-proj-abcdefghijklmnopqrstuvwx"),
        ("key", "AKIAIOSFODNN7EXAMPLE"),
        ("key", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
        ("ip", "192.168.1.10"),
        ("ip", "2001:db8::ff00:42:8329"),
    ],
)
def test_each_kind_is_found_as_a_whole_wherever_it_stands(kind: str, value: str) -> None:
    for text in (value, f"Write to {value}, please.", f"({value})", f"a\n{value}\nb"):
        assert found(text) == [(kind, value)], text
    assert kind in PERSONAL_TITLES


@pytest.mark.parametrize(
    "text",
    [
        "on 2024-01-15 at 10:30:00, or 01.02.2024, or 12/31/2024",
        "4111111111111112 has no right check digit, 20240115123456 is a time",
        "it costs 1,234,567.89, about 3.14159265358979 times",
        "DE89 3704 0044 0532 0130 01 is no account",
        "version 1.2.3.4.5, 127.0.0.1, 999.1.1.1, std::vector::iterator, [::2]",
        "order 123-4567890-1234567, from 2023-2024, 100 200 300",
        "an @mention, a@b, user@localhost, sk-short",
    ],
)
def test_what_only_looks_like_it_is_not_found(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("before", ["", "4111 1111 1111 1111 ", "11 22 33 44 55 66 77 88 99 11 22 33 44 55 66 77 88 "])
def test_a_card_is_found_however_many_numbers_stand_before_it(before: str) -> None:
    text = f"{before}4111 1111 1111 1111 {before}4111 1111 1111 1111"
    assert [value for kind, value in found(text) if kind == "card"] == ["4111 1111 1111 1111"] * text.count("4111")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("IBAN AT61 1904 3002 3457 3201 BIC GIBAATWW", ["AT61 1904 3002 3457 3201"]),
        ("AT611904300234573201 PLEASE", ["AT611904300234573201"]),
        ("BE68 5390 0754 7034 OR", ["BE68 5390 0754 7034"]),
        ("BE68 5390 0754 7034 AT61 1904 3002 3457 3201 X", ["BE68 5390 0754 7034", "AT61 1904 3002 3457 3201"]),
        ("ORDER AB12 CDEF GHIJ BE68 5390 0754 7034 NOW", ["BE68 5390 0754 7034"]),
        ("4111 1111 1111 1111 123", ["4111 1111 1111 1111"]),
        ("in 2024 4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("555-123-4567 24 hours a day", ["555-123-4567"]),
    ],
)
def test_what_stands_beside_a_value_does_not_hide_it(text: str, values: list[str]) -> None:
    assert [value for _, value in found(text)] == values


def test_equal_values_have_equal_masks_and_others_do_not() -> None:
    masks = Masks()
    said = masks.apply("Ann@x.org wrote to bob@x.org; call 555-123-4567 or (555) 123-4567")
    assert said == "[email 1] wrote to [email 2]; call [phone 1] or [phone 1]"
    assert masks.apply("bob@x.org again, and eve@x.org") == "[email 2] again, and [email 3]"
    assert Masks().apply("nothing here") == "nothing here"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("10.0.1.11 and 10.0.11.1", "[ip 1] and [ip 2]"),
        ("2001:db8::1:2:3, 2001:DB8:0::1:2:3", "[ip 1], [ip 1]"),
        ("::ffff:192.168.1.10", "::ffff:[ip 1]"),
        ("sk-abcdefghijklmnopqrst-u, sk-abcdefghijklmnopqrstu", "[key 1], [key 2]"),
        ("DE89 3704 0044 0532 0130 00, DE89370400440532013000", "[iban 1], [iban 1]"),
        ("4111 1111 1111 1111, 4111-1111-1111-1111", "[card 1], [card 1]"),
    ],
)
def test_masks_tell_apart_by_what_a_value_means(text: str, masked: str) -> None:
    assert Masks().apply(text) == masked


@settings(max_examples=60)
@given(st.text(st.sampled_from("0123456789 +-().@/:abcDE\n"), max_size=120))
def test_places_lie_in_order_and_masks_leave_nothing_to_find(text: str) -> None:
    places = find_personal(text)
    assert all(one.end <= two.begin for one, two in itertools.pairwise(places))
    assert all(0 <= one.begin < one.end <= len(text) for one in places)
    masked = Masks().apply(text)
    assert masked.count("[") == len(places)


REPEATED = (
    *("1", "a@", "+1 ", "1.1.", "a:", "A0", "sk-", "1 ", "AA11 ", "4111 ", "::1 ", "12 555 "),
    *("a@x.org,", "1.2.3.4,", "4111111111111111 ", "DE89370400440532013000 "),
)


@pytest.mark.parametrize("text", REPEATED)
def test_no_text_takes_long(text: str) -> None:
    long = text * (100_000 // len(text))
    started = time.process_time()
    find_personal(long)
    assert time.process_time() - started < 1
