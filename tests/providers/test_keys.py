"""A key goes to the address it was given for: no teacher that somebody describes aims it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.usecases.teachers.connections import Keys
from engine.config import ProjectConfig, TeacherConfig, read_config
from engine.errors import ConfigError, InputError, KeyMissing, KeyRefused
from engine.keys import LISTED, PROVIDERS, address_of, can_hold_key
from engine.values import Choice, TeacherSpec, make_query
from tests.fakes.provider import KEY, Provider, run_provider

MINE = "MINE_API_KEY"


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv(MINE, KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.delenv(LISTED)
    with open_services(workspace) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="choice"))
        choices = (Choice("A", "x"), Choice("B", "y"))
        opened.data.add_queries(project.id, [make_query(f"query {n}?", choices) for n in range(4)], {})
        yield opened


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture
def stranger() -> Iterator[Provider]:
    """An endpoint that takes whatever key it is sent."""
    with run_provider() as running:
        running.key = None
        yield running


def values(provider: Provider, name: str = "ann", **changes: Any) -> dict[str, Any]:
    values = {"name": name, "provider": "openai", "model": "m", "endpoint": f"{provider.url}/v1"}
    return {**values, "key_variable": MINE, **changes}


def sent(provider: Provider) -> str:
    return " ".join(str(seen.headers) for seen in provider.seen)


def use(services: Services, name: str = "ann") -> None:
    services.context.wait(services.teachers.test("p", name).id)


def force(services: Services, spec: TeacherSpec) -> None:
    """Store a teacher as an earlier version would have."""
    services.context.projects.put_teacher(services.context.projects.get("p").id, spec)


@pytest.mark.parametrize(
    "variable", ["PATH", "HOME", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "API_KEY_OF_ALL", "TOKEN"]
)
def test_what_is_not_named_like_a_key_is_refused_when_it_is_set_and_when_it_is_used(
    services: Services, stranger: Provider, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "do not tell")
    with pytest.raises(ConfigError, match="must end in _API_KEY or _TOKEN") as told:
        services.teachers.add("p", values(stranger, key_variable=variable))
    assert variable not in str(told.value).replace("_API_KEY", "").replace("_TOKEN", "")
    force(services, replace(TeacherSpec("ann", "openai", "m", f"{stranger.url}/v1"), key_variable=variable))
    for ask in (services.teachers.models, services.teachers.test):
        with pytest.raises(KeyRefused, match=f"no key is read from {variable}"):
            ask("p", "ann")
    with pytest.raises(KeyRefused):
        services.label.start("p", LabelOrder())
    assert services.teachers.key_state("p", "ann") == f"{variable} is not for this teacher"
    assert services.teachers.list_all("p")[0]["key_variable"] == variable, "the project still opens"
    assert stranger.seen == []


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "HF_TOKEN", "GROQ_API_KEY"])
def test_a_providers_own_variable_goes_to_that_provider_only(
    services: Services, stranger: Provider, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "sk-secret")
    with pytest.raises(ConfigError, match=f"{variable} is not sent to .*is a key of https://.*Nothing was saved"):
        services.teachers.add("p", values(stranger, key_variable=variable))
    spec = TeacherSpec("ann", "openai", "m", f"{stranger.url}/v1", key_variable=variable)
    force(services, spec)
    with pytest.raises(KeyRefused):
        services.teachers.models("p", "ann")
    assert stranger.seen == []
    own = replace(spec, endpoint=f"{PROVIDERS[variable][0]}/v1")
    assert services.teachers.connections.keys.find(own) == "sk-secret"


def test_another_variable_goes_to_the_first_address_it_was_given_for(
    services: Services, provider: Provider, stranger: Provider
) -> None:
    services.teachers.add("p", values(provider))
    services.teachers.add("p", values(provider, "bob", endpoint=f"{provider.url}/v2"))
    for name in ("ann", "eve"):
        with pytest.raises(ConfigError, match=f"{MINE} is not sent to .*it was given for {provider.url}"):
            services.teachers.add("p", values(stranger, name))
    use(services)
    assert KEY in sent(provider)
    services.teachers.remove("p", "ann")
    services.teachers.remove("p", "bob")
    services.teachers.add("p", values(stranger))
    use(services)
    assert KEY in sent(stranger), "removing them was the way to aim it anew"


def test_a_teacher_of_another_project_holds_the_variable_too(
    services: Services, provider: Provider, stranger: Provider
) -> None:
    services.teachers.add("p", values(provider))
    services.data.create_project(ProjectConfig(name="q", task="choice"))
    with pytest.raises(ConfigError, match="was given for"):
        services.teachers.add("q", values(stranger))


def test_where_an_earlier_version_let_two_addresses_share_a_variable_neither_gets_it_and_both_are_told(
    services: Services, provider: Provider, stranger: Provider
) -> None:
    for name, one in (("ann", provider), ("eve", stranger)):
        force(services, TeacherSpec(name, "openai", "m", f"{one.url}/v1", key_variable=MINE))
    for name in ("ann", "eve"):
        with pytest.raises(KeyRefused, match="remove the teacher that it was given for"):
            use(services, name)
    assert KEY not in sent(provider) + sent(stranger)
    services.teachers.remove("p", "eve")
    assert services.teachers.models("p", "ann")


def test_where_others_log_in_only_the_operators_list_aims_a_variable(
    services: Services, provider: Provider, stranger: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.teachers.connections.keys.restrict()
    with pytest.raises(ConfigError, match=f"nobody has bound it.*{LISTED}"):
        services.teachers.add("p", values(provider))
    monkeypatch.setenv(LISTED, f"{MINE}={provider.url}/v1")
    services.teachers.add("p", values(provider))
    use(services)
    assert KEY in sent(provider)
    with pytest.raises(ConfigError, match=f"it is for {provider.url}"):
        services.teachers.add("p", values(stranger, "eve"))
    force(services, TeacherSpec("eve", "openai", "m", f"{stranger.url}/v1", key_variable=MINE))
    with pytest.raises(KeyRefused):
        services.teachers.models("p", "eve")
    assert stranger.seen == []


def test_a_key_that_was_typed_goes_to_the_teacher_it_was_typed_for(
    services: Services, provider: Provider, stranger: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MINE)
    spec = services.teachers.add("p", values(provider))
    keys = services.teachers.connections.keys
    keys.put(MINE, KEY, spec)
    assert keys.find(spec) == KEY and KEY not in repr(keys)
    other = replace(spec, name="eve", endpoint=f"{stranger.url}/v1")
    with pytest.raises(KeyMissing):
        keys.find(other)
    services.teachers.remove("p", "ann")
    with pytest.raises(KeyMissing, match="needs a key"):
        keys.find(other)
    keys.restrict()
    assert keys.find(spec) == KEY, "whoever typed it named the address"


def test_where_others_log_in_each_can_type_a_key_for_an_address_of_their_own(
    services: Services, provider: Provider, stranger: Provider
) -> None:
    services.teachers.connections.keys.restrict()
    services.teachers.add("p", values(stranger, "eve"), key="sk-of-eve-0123456789")
    use(services, "eve")
    assert "sk-of-eve" in sent(stranger) and KEY not in sent(stranger), "what was typed, not what the server holds"
    services.teachers.add("p", values(stranger, "eve", draws=2, temperature=1))
    with pytest.raises(ConfigError, match="Type the teacher's"):
        services.teachers.add("p", values(provider, "bob"))


def test_a_key_without_a_variable_is_told_before_anything_is_saved(services: Services, provider: Provider) -> None:
    with pytest.raises(InputError, match="Nothing was kept"):
        services.teachers.add("p", values(provider, key_variable=None), key=KEY)
    assert services.teachers.list_all("p") == [] and "nobody" in repr(services.teachers.connections.keys)


def test_the_operators_list_allows_names_and_further_addresses(
    services: Services, provider: Provider, stranger: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = f"{MINE}={provider.url}, {MINE}={stranger.url}/v1"
    monkeypatch.setenv(LISTED, f"ODD_NAME, {both}, OPENAI_API_KEY={stranger.url}")
    monkeypatch.setenv("ODD_NAME", KEY)
    for name, one, variable in (("a", provider, MINE), ("b", stranger, MINE), ("c", provider, "ODD_NAME")):
        services.teachers.add("p", values(one, name, key_variable=variable))
        assert services.teachers.models("p", name)
    services.teachers.add("p", values(stranger, "d", key_variable="OPENAI_API_KEY"))
    with pytest.raises(ConfigError, match=LISTED):
        services.teachers.add("p", values(provider, "e", key_variable="OPENAI_API_KEY"))


@pytest.mark.parametrize("text", ["A_TOKEN=nowhere", "lower", "A_TOKEN=ftp://x", "=https://x.example"])
def test_a_list_that_can_not_be_read_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(LISTED, text)
    with pytest.raises(ConfigError, match=LISTED):
        Keys().check(TeacherSpec("ann", "openai", "m", "https://x.example/v1", key_variable="B_TOKEN"))
    with pytest.raises(ConfigError, match=LISTED):
        read_config(TeacherConfig, {"name": "a", "provider": "openai", "model": "m", "key_variable": "MY_NAME"})


@given(st.from_regex(r"[A-Z_][A-Z0-9_]{0,40}", fullmatch=True))
def test_only_what_ends_like_a_key_can_hold_one(variable: str) -> None:
    assert can_hold_key(variable) == variable.endswith(("_API_KEY", "_TOKEN"))


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("https://API.OpenAI.com/v1", "https://api.openai.com"),
        ("https://api.openai.com:443", "https://api.openai.com"),
        ("https://api.openai.com@evil.example/v1", "https://evil.example"),
        ("https://api.openai.com.evil.example", "https://api.openai.com.evil.example"),
        ("http://api.openai.com/v1", "http://api.openai.com"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("https://x:99999", None),
        ("file:///etc/passwd", None),
    ],
)
def test_an_address_is_scheme_host_and_port(endpoint: str, address: str | None) -> None:
    assert address_of(endpoint) == address
