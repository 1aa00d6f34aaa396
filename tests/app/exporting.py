"""The page Exports, driven over HTTP: cards, downloads, a student that is prepared and checked."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pyarrow.parquet as pq

from engine.wording import counted
from tests.app.studio import Studio


def take_out(studio: Studio, run: str) -> None:
    """Everything that a finished run has to offer."""
    studio.open("exports", "p")
    assert studio("exports", "choose", "p", "", None)["value"] == run
    assert studio("exports", "stages", "p", run)["value"]
    about, card, use = studio("exports", "show", "p", run, "stage3", 20, "")
    assert "Model card" in about and "Where it comes from" in card and "/a/path" not in card
    assert "serve-student" in use and "AutoTokenizer" in use and "data-copy" in use and "tacit export p" in use
    assert "--stage stage3 --check 20" in use
    chosen = ["p", run, "stage3"]
    cards = studio("exports", "cards", *chosen)
    assert "Prepare and download: The merged model of Stage 3" in cards and "not prepared" in cards
    assert "Check and download zip: The adapter of Stage 3" in cards and "Training rows: compressed reasoning" in cards
    assert "Download unchecked: The adapter of Stage 3" in cards and "not checked" in cards
    assert "Prepare and download: The model as GGUF, Q8_0 of Stage 3" in cards
    for what, form in (("set", "jsonl"), ("set", "parquet"), ("rows-compressed", "parquet")):
        said, file = studio("exports", "take", *chosen, what, form)
        assert "B: your browser saves it" in said and Path(file).suffix == f".{form}"
    rows = pq.read_table(file).to_pylist()
    assert f">{counted(len(rows), 'row')}<" in cards, "as many as the card says"
    _, file = studio("exports", "take", *chosen, "student-adapter", "adapter")
    with zipfile.ZipFile(file) as archive:
        assert "SmolLM2" in archive.read("stage3-adapter/adapter_config.json").decode()
        assert "/a/path" not in "".join(archive.read(n).decode("latin-1") for n in archive.namelist())
    merged = [*chosen, "student-merged", "merged"]
    prepare = [*chosen, 4, "merged"]
    assert "not made yet" in studio.refused("exports", "take", *merged)
    assert "whole number of at least 0" in studio.refused("exports", "prepare", *chosen, -1, "merged")
    assert "download starts once it is ready" in studio("exports", "prepare", *prepare)[0]
    studio.finish()
    assert "ready already" in studio("exports", "prepare", *prepare)[0]
    cards = studio("exports", "cards", *chosen)
    assert "Download zip: The merged model of Stage 3" in cards
    assert "4 of 4 answers (a sample of 6) are the scored student&#x27;s; accuracy +0.00" in cards
    said, file = studio("exports", "take", *merged)
    with zipfile.ZipFile(file) as archive:
        readme = archive.read("stage3-merged/README.md").decode()
        assert "| queries asked | 4 of 6 |" in readme and "vllm serve ." in readme, "the card is of after the check"
        assert ".eval_results/p.yaml" in str(archive.namelist())
    (request,) = re.findall(r"<<'JSON'\n(.*?)\nJSON\n", readme, re.DOTALL)
    asked = json.loads(request)
    assert (asked["model"], asked["temperature"]) == ("student", 0)
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert f"System message:\n\n```text\n{asked['messages'][0]['content']}\n```" in readme
    for what, form in (("items-lm-eval", "lm-eval"), ("items-inspect", "inspect")):
        assert "your browser saves it" in studio("exports", "take", *chosen, what, form)[0]
    assert "Choose a stage" in studio.refused("exports", "take", "p", run, None, "student-adapter", "adapter")
    assert "Choose a run" in studio.refused("exports", "take", "p", None, None, "rows-full", "jsonl")
    assert "press the button" in studio.refused("exports", "take", *chosen, "", "")
