"""What evaluation harnesses are given says the same as the stored scores; what GGUF files and Modelfiles say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from engine.config import StudentConfig
from engine.errors import InputError, MissingPart, StateError
from engine.evaluation.readback import AskedAgain, compare_answers, read_back_from
from engine.exports import EXPORTERS, Item, Outgoing, PromptFrame, ScoredAnswers
from engine.exports.lm_eval import judge_as_harness
from engine.exports.modelfile import cut_template, mark_turns, write_modelfile
from engine.inference.gguf_tokens import name_split
from engine.students import read_model_config
from engine.tasks import get_task
from engine.values import Choice, Query, make_query

COLOURS = tuple(Choice(letter, text) for letter, text in (("A", "red"), ("B", "blue"), ("C", "green")))
RECORDED = {
    "custom": (
        (make_query("Who is the tallest?"), "Quin", "Quin is above Finn.\nAnswer: Quin", True),
        (make_query("Who is the smallest?"), "Leo", "Leo, I think. Answer: leo.", True),
        (make_query("Which fair is first?"), "Rose Fair", "Answer: Hay Fair\nNo.\nAnswer: Rose Fair", True),
        (make_query("Which is last?"), "Hay Fair", "It can't be told.", False),
        (make_query("What is next?"), "12", "12", True),
    ),
    "choice": (
        (make_query("Which is like the sky?", COLOURS), "B", "The sky is blue.\nAnswer: B", True),
        (make_query("Which is like grass?", COLOURS), "C", "Answer: A", False),
    ),
    "math": (
        (make_query("How many?"), "1200", "600 and 600.\nAnswer: 1,200", True),
        (make_query("How many are left?"), "7", "Answer: 8", False),
    ),
}


def record(task_name: str) -> ScoredAnswers:
    """The recorded answers with the labels and verdicts that the task itself gives."""
    task, items = get_task(task_name), []
    for query, gold, text, right in RECORDED[task_name]:
        label = task.read_answer(query, text)
        correct = label is not None and task.verify(query, label, gold)
        assert correct is right
        prompt = (("system", "You answer questions."), ("user", task.render(query)))
        named = task.normalise(query, gold) or gold
        items.append(Item(query.id, query.kind or "", prompt, named, text, label, correct, 5, 0.1))
    return ScoredAnswers("tacit_p", "p/r-stage3", tuple(items), PromptFrame(max_tokens=64), "2026-11-30T00:00:00+00:00")


@pytest.mark.parametrize("name", RECORDED)
def test_the_filter_and_the_metric_of_the_task_give_our_verdicts(name: str, tmp_path: Path) -> None:
    scored, exporter = record(name), EXPORTERS.get("lm-eval")
    exporter.write(Outgoing(scored=scored), tmp_path / "out")
    task = yaml.safe_load((tmp_path / "out" / "tacit_p.yaml").read_text())
    rows = exporter.read(tmp_path / "out")
    assert isinstance(rows, list) and [row["id"] for row in rows] == [item.id for item in scored.items]
    assert rows[0]["system"] == "You answer questions." and rows[0]["user"] == scored.items[0].prompt[1][1]
    judged = judge_as_harness(task, [item.answer for item in scored.items], [row["target"] for row in rows])
    assert judged == [item.correct for item in scored.items]
    assert (
        task["dataset_kwargs"]["data_files"]["test"] == "tacit_p.jsonl" and not task["generation_kwargs"]["do_sample"]
    )
    n = len(judged)
    assert f"gave on {n}: their mean is {sum(judged) / n:.4f}" in (tmp_path / "out" / "README.md").read_text()


def test_where_the_harness_judges_otherwise_the_export_names_the_queries(tmp_path: Path) -> None:
    half = Item("h", "", (("user", "?"),), "1/2", "Answer: 0.5", "1/2", True)
    scored = replace(record("math"), items=(*record("math").items, half))
    EXPORTERS.get("lm-eval").write(Outgoing(scored=scored), tmp_path / "out")
    told = (tmp_path / "out" / "README.md").read_text()
    assert "gave on 2: their mean is 0.3333, Tacit's 0.6667" in told and "They differ on: h." in told


def test_a_log_holds_what_was_asked_answered_and_scored(tmp_path: Path) -> None:
    scored, exporter = record("custom"), EXPORTERS.get("inspect")
    exporter.write(Outgoing(scored=scored), tmp_path / "log.json")
    log = json.loads((tmp_path / "log.json").read_text())
    (found,) = log["results"]["scores"]
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(4 / 5)
    assert found["metrics"]["stderr"]["value"] == pytest.approx((4 / 5 * 1 / 5 / 4) ** 0.5)
    values = [sample["scores"]["label"]["value"] for sample in log["samples"]]
    assert values == ["C", "C", "C", "I", "C"], "whose mean by Inspect's own value_to_float is the accuracy"
    assert log["samples"][0]["messages"][-1]["content"] == scored.items[0].answer
    back = exporter.read(tmp_path / "log.json")
    assert isinstance(back, list) and [row["correct"] for row in back] == [item.correct for item in scored.items]
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InputError, match="no log of Inspect"):
        exporter.read(tmp_path / "other.json")
    for name in ("inspect", "lm-eval"):
        with pytest.raises(StateError, match="no scored answers"):
            EXPORTERS.get(name).write(Outgoing(), tmp_path / "none")
    with pytest.raises(MissingPart):
        EXPORTERS.get("lm-eval").read(tmp_path)


def ask_again(*texts: str, gold: str | None = "1") -> list[AskedAgain]:
    return [AskedAgain(Query(str(n), "?"), text, gold) for n, text in enumerate(texts)]


def test_an_export_that_answers_otherwise_is_called_changed() -> None:
    task = get_task("custom")
    asked = ask_again(*["Answer: 1"] * 10)
    spelled = {str(n): "So it is.\nAnswer: 1" for n in range(10)}
    same = compare_answers(task, asked, spelled, "accuracy")
    assert (same.same, same.same_texts, same.changed) == (10, 0, False), "the label is the same in other words"
    assert same.difference is not None and same.difference.difference == 0 and same.scored == same.exported == 1
    wrong = {**spelled, "0": "Answer: 2", "1": "I can't say."}
    changed = compare_answers(task, asked, wrong, "accuracy")
    assert changed.share == 0.8 and changed.changed and changed.exported == 0.8
    assert changed.difference is not None and changed.difference.difference == pytest.approx(-0.2)
    assert changed.difference.ci_low < -0.2 < changed.difference.ci_high
    assert read_back_from(json.loads(json.dumps(changed.to_dict()))) == changed
    unlabelled = compare_answers(
        task, ask_again("Answer: 1", "nothing at all", gold=None), {"0": "Answer: 1", "1": ""}, ""
    )
    assert unlabelled.same == 1 and unlabelled.difference is None and unlabelled.scored is None


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_type": "llama", "rope_parameters": {"rope_type": "default", "rope_theta": 1e5}}, ""),
        ({"model_type": "qwen2", "rope_scaling": None, "use_sliding_window": False}, ""),
        ({"model_type": "gemma3"}, "of gemma3: export the merged model .* convert_hf_to_gguf.py"),
        ({"model_type": "llama", "rope_scaling": {"rope_type": "llama3"}}, r"scaled \(llama3\).*convert_hf_to_gguf.py"),
        ({"model_type": "qwen3", "use_sliding_window": True}, "sliding windows.*convert_hf_to_gguf.py"),
    ],
)
def test_what_is_not_written_as_gguf_is_refused_with_the_way_to_it(config: dict[str, object], told: str) -> None:
    reason = EXPORTERS.get("gguf-f16").refuses(config)
    assert re.search(told, reason) if told else reason == ""


def test_a_split_of_text_has_llama_cpps_name_or_is_refused() -> None:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    assert name_split(byte_level) == "gpt-2"
    digits = {"type": "Digits", "individual_digits": True}
    assert name_split({"type": "Sequence", "pretokenizers": [digits, byte_level]}) == "smollm"
    qwen = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    )
    for pattern, name in ((qwen, "qwen2"), (qwen.replace(r"|\p{N}|", r"|\p{N}{1,3}|"), "llama-bpe")):
        parts = [{"type": "Split", "pattern": {"Regex": pattern}}, {**byte_level, "use_regex": False}]
        assert name_split({"type": "Sequence", "pretokenizers": parts}) == name
    with pytest.raises(StateError, match=r"convert_hf_to_gguf\.py"):
        name_split({"type": "Metaspace"})


def test_a_modelfile_asks_as_the_chat_template_does() -> None:
    asking = PromptFrame("Be brief.", "direct: ", "!", 96)

    def write(turns: tuple[tuple[str, str], ...], generate: bool) -> str:
        text = "".join(f"<|{role}|>\n{said}<|end|>\n" for role, said in turns)
        return text + "<|assistant|>\n" * generate

    turn = mark_turns(asking)
    template = cut_template(write(turn[:2], True), write(turn, False))
    assert template is not None
    asked = (("system", "Be brief."), ("user", "direct: Who?!"))
    assert template.render("Be brief.", "Who?") == write(asked, True)
    text = write_modelfile("student-f16.gguf", asking, template, ("<|end|>",))
    assert "direct: {{ .Prompt }}!<|end|>" in text and text.startswith("FROM ./student-f16.gguf\n")
    assert {"PARAMETER temperature 0", "PARAMETER repeat_penalty 1.0", 'PARAMETER stop "<|end|>"'} <= set(
        text.split("\n")
    )
    assert cut_template("no system message here", "") is None
    assert "TEMPLATE" not in write_modelfile("student-f16.gguf", asking, None, ())


def test_a_model_s_settings_are_read_where_they_are_at_hand(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gemma3"}')
    assert read_model_config(StudentConfig(model=str(tmp_path))) == {"model_type": "gemma3"}
    assert read_model_config(StudentConfig(model="nobody/has-this")) is None
    (tmp_path / "config.json").write_text("[")
    assert read_model_config(StudentConfig(model=str(tmp_path))) is None
