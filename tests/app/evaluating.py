"""The page Evaluate, called over HTTP on a project whose run is scored."""

from __future__ import annotations

from pathlib import Path

from tests.app.studio import Studio


def asks(
    run: str,
    hour: str = "0.60",
    *prices: str,
    margin: str = "2",
    student: str | None = None,
    teacher: str | None = None,
) -> list[str | None]:
    """The page's form; fields of list prices behind the given ones are empty."""
    return [run, hour, margin, student, teacher, *prices, *[""] * (8 - len(prices))]


def shows_and_reckons(studio: Studio, run: str) -> None:
    studio.open("evaluate", "p")
    assert studio("evaluate", "choose", "p", "", None)["value"] == run
    older = studio.services.context.runs.all(studio.services.context.projects.get("p").id)[-1].id
    assert studio("evaluate", "choose", "p", f"?run={older}", run)["value"] == older, "the address says which"
    assert studio("evaluate", "choose", "p", "?run=nobodys", older)["value"] == older
    fields = studio("evaluate", "list_prices", "p", run)
    assert [(f["label"].split()[0], f["value"]) for f in fields[:3]] == [
        ("eliminate", "0.15 / 0.60"),
        ("forward", "0.40 / 1.60"),
        ("tabulate", "0.40 / 2.00"),
    ]
    said, table, plot, risk, kinds, student, teacher, first, second, kind, *_ = studio(
        "evaluate", "show", "p", *asks(run), ""
    )
    assert "Not yet" in said and "(n = 6)" in said, "the stand-in says the same whatever it has learned"
    assert "Check on Train" in said and "tacit report" in said
    assert "6 held-out queries" in table and "forward" in table and "<svg" in plot and kinds
    assert "Risk and coverage" in risk and "<svg" in risk and "AURC" in risk, "its answers have log-probs"
    assert "Untrained" in table and "Teachers" in table and "data:text/csv" in table
    assert student["value"] == first["value"] not in {"forward", "tabulate", "eliminate"}
    assert teacher["value"] == second["value"] in {"forward", "tabulate", "eliminate"}
    assert len(kind["choices"]) > 1
    chosen = studio("evaluate", "show", "p", *asks(run), "?first=stage1&second=tabulate")
    assert (chosen[7]["value"], chosen[8]["value"]) == ("stage1", "tabulate")
    assert "give an amount" in studio.refused("evaluate", "price", "p", *asks(run, "cheap"))
    assert "in and out" in studio.refused("evaluate", "price", "p", *asks(run, "0.60", "0.40"))
    assert tuple(studio("evaluate", "price", "p", *asks(run))[:2]) == (said, table)
    assert table.count("<span class='quiet'>assumed</span>") == 3, "the teachers' prices; the device's was given"
    assumed = studio("evaluate", "price", "p", *asks(run, "0.10"))[1]
    assert assumed.count("<span class='quiet'>assumed</span>") == 10
    assert studio("evaluate", "price", "p", *asks(run, ""))[1].count(">unknown") == 7
    pair = {"student": "stage3", "teacher": "forward"}
    paid = studio("evaluate", "pay_back", "p", *asks(run, **pair))
    assert "assumed list prices" in paid and "(assumed)" in paid and "unknown" not in paid
    assert "$0.0000 and, at assumed" in paid, "the ledger stays at what was billed: nothing"
    dear = studio("evaluate", "pay_back", "p", *asks(run, "0.60", "", "4.00 / 1600", **pair))
    assert "Pays back after" in dear and dear != paid, "what was typed is reckoned with"
    assert "not known" in studio("evaluate", "pay_back", "p", *asks(run, "", **pair))


def sets_the_margin_and_writes_the_report(studio: Studio, run: str) -> None:
    studio.open("evaluate", "p")
    table = studio("evaluate", "price", "p", *asks(run))[1]
    for margin in ("", "x"):
        assert "Give the points" in studio("evaluate", "set_margin", "p", *asks(run, margin=margin))[0]
    assert studio.services.context.projects.get("p").config.margin == 0.02
    assert studio("evaluate", "set_margin", "p", *asks(run, margin="5"))[1] == table
    assert studio.services.context.projects.get("p").config.margin == 0.05
    assert studio("evaluate", "keep_margin", "p", "") == "5", "a field that is left empty shows what holds"
    marks = {
        mark.name: mark.number for mark in studio.services.standing.marks(studio.services.context.projects.get("p"))
    }
    assert marks["Evaluate"] == "nothing to ship yet"
    assert "Nothing worth shipping yet (n = 6)" in studio.services.reading.run(run)["verdict"]
    file = Path(studio("evaluate", "report", "p", *asks(run)))
    assert file.name == f"p-{run[:8]}-report.html" and "Not yet" in file.read_text("utf-8")
    assert "Scored again" in studio("evaluate", "score", "p", run)


def lists_where_two_differ(studio: Studio, run: str) -> None:
    studio.open("evaluate", "p")

    def listed(address: str) -> tuple[str, str]:
        rows, one = studio("differences", "show_page", "p", address, run, "stage3", "forward")
        return rows, one

    rows, one = listed("")
    total = rows.count("<tr data-open")
    assert total and f"1-{total} of {total} quer" in rows and "forward" in one and "Gold label" in one
    assert "class='current'" in rows, "the first one is open"
    ids = [part.split("'")[0] for part in rows.split("<tr data-open='")[1:]]
    assert "class='answer'" in listed(f"?open={ids[-1]}")[1]
    assert "did not both answer" in listed("?open=nobodys")[1]
    by_right = [listed(f"?show={name}")[0].count("<tr data-open") for name in ("first", "second", "neither")]
    assert sum(by_right) == total, "each is right alone, or neither is: those who differ are never both right"
    assert "They differ on no such query" in listed("?q=no query says this")[0]
    assert listed("?page=99")[0] == listed("")[0], "behind the last page is the last page"
    assert studio("differences", "show_page", "p", "", run, None, None) == ("", "")
