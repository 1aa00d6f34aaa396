from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.registry import Registry, import_variants


def test_a_file_in_the_package_is_all_that_a_variant_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "kinds_of_tea"
    package.mkdir()
    (package / "__init__.py").write_text("found = []\n")
    for name in ("green", "black"):
        (package / f"{name}.py").write_text(f"from kinds_of_tea import found\n\nfound.append({name!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import kinds_of_tea  # noqa: PLC0415 - it is made just now

    import_variants("kinds_of_tea", kinds_of_tea.__path__)
    assert kinds_of_tea.found == ["black", "green"]
    import_variants("kinds_of_tea", kinds_of_tea.__path__)
    assert kinds_of_tea.found == ["black", "green"], "each adds itself once"
    for name in [name for name in sys.modules if name.startswith("kinds_of_tea")]:
        monkeypatch.delitem(sys.modules, name)


def test_a_broken_package_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    points = [EntryPoint(name, value, "tacit.teas") for name, value in (("bad", "no.such:TEA"), ("good", "json:dumps"))]
    monkeypatch.setattr("engine.registry.entry_points", lambda group: points)
    teas: Registry[Any] = Registry("teas", "tea")
    assert teas.names() == ("good",) and "the tea bad of no.such:TEA can't be used" in caplog.text


def test_a_name_is_taken_once_and_an_unknown_one_is_answered_with_those_there_are() -> None:
    teas: Registry[str] = Registry("teas", "tea")
    assert teas.add("green", "sencha") == teas.add("green", "sencha") == teas.get("green")
    with pytest.raises(ConfigError, match="two of the name 'green' among the teas"):
        teas.add("green", "matcha")
    with pytest.raises(ConfigError, match="there is no tea 'red'; there are green"):
        teas.get("red")
    assert teas.names() == tuple(teas) == ("green",)
