"""The method without a studio: teachers answer, the best is kept, a student learns. headless.py [STUDENT]"""

import sys
import tempfile
from pathlib import Path

from engine.config import StudentConfig, TrainConfig
from engine.datasets.rows import Example
from engine.evaluation.report import summarise
from engine.inference.embedder import open_embedder
from engine.jobs.inline import InlineRun, label_queries
from engine.labelling.online import LabelWork
from engine.pipeline import Material
from engine.plans.twt import twt_plan
from engine.prompts import load_prompt
from engine.puzzles import generate_puzzles
from engine.selection import arrange, dcrs, select
from engine.tasks import get_task
from engine.teachers.scripted import SCRIPTED_TEACHERS
from engine.values import make_query

task, puzzles = get_task("custom"), generate_puzzles(30, seed=1)
queries = {query.id: query for query in (make_query(puzzle.text, kind=puzzle.kind) for puzzle in puzzles)}
asked, heldout = list(queries.values())[:20], list(queries.values())[20:]
golds = {make_query(puzzle.text).id: puzzle.answer for puzzle in puzzles[20:]}

samples = label_queries(LabelWork(task, load_prompt("teacher", task.name), asked, SCRIPTED_TEACHERS))
vectors = open_embedder("packaged").embed([sample.rationale for sample in samples])
kept = select(arrange(samples, task.factors, vectors), dcrs(threshold=0.9)).kept
chosen = [sample for sample, keep in zip(samples, kept, strict=True) if keep]
examples = [Example(queries[s.query_id], s.id, s.rationale, s.label, teacher=s.teacher) for s in chosen]
student = StudentConfig(model=sys.argv[1] if len(sys.argv) > 1 else "packaged", generate_tokens=24)
stage = TrainConfig(updates=4, learning_rate=1e-3, max_tokens=1024, validation=0)
plan = twt_plan(student, [stage] * 3, compressed=False, shots=1)
run = InlineRun(plan, Material(task, examples, asked=asked, heldout=heldout), Path(tempfile.mkdtemp()))
run.go()
for row in summarise(run.score(golds)):
    print(
        f"{row.name:16} {row.kind or 'all kinds':12} {row.accuracy:.2f} of {row.n}, {row.mean_output_tokens:.1f} tokens"
    )
