"""The script that tries a provider: what it says against one on loopback, and against one that counts otherwise."""

from __future__ import annotations

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from scripts.check_provider import main
from storage.ledger import Ledger
from tests.fakes.provider import KEY, run_provider

app = Typer()
app.command()(main)


def check(monkeypatch: pytest.MonkeyPatch, url: str, protocol: str, *more: str) -> Result:
    monkeypatch.setenv("SOME_API_KEY", KEY)
    given = ["some-model", "--provider", protocol, "--endpoint", url, "--key-variable", "SOME_API_KEY"]
    result = CliRunner().invoke(app, [*given, *more])
    assert KEY not in result.output
    return result


@pytest.mark.parametrize(("protocol", "path"), [("openai", "/v1"), ("mistral", "")])
def test_a_provider_is_tried_in_all_ways(monkeypatch: pytest.MonkeyPatch, protocol: str, path: str) -> None:
    with run_provider(answer=lambda user: "56", protocol=protocol) as provider:
        result = check(monkeypatch, provider.url + path, protocol, "--prices", "1", "2", "--batch")
    assert result.exit_code == 0, result.output
    marks = [line.split(" (")[0] for line in result.output.splitlines() if line.startswith(("ok", "FAILED"))]
    names = ("models", "test", "label two queries", "stream", "batch of one", "ledger")
    assert marks == [f"ok     {name}" for name in names]
    assert "2 of 2 read" in result.output and "HTTP 200" in result.output


def test_a_key_that_is_not_accepted_is_a_failure_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_provider(key="sk-another-0123456789") as provider:
        result = check(monkeypatch, f"{provider.url}/v1", "openai")
    assert result.exit_code == 4 and "FAILED test" in result.output and "HTTP 401" in result.output


def test_tokens_that_the_ledger_lacks_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "totals", lambda self, project_id: [])
    with run_provider() as provider:
        result = check(monkeypatch, f"{provider.url}/v1", "openai")
    assert result.exit_code == 1 and "FAILED ledger" in result.output and "ledger 0 tokens in" in result.output
