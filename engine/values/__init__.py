"""The values that move through the method. All frozen; ids are hashes of content."""

from engine.values.ids import hash_id, hash_list
from engine.values.job import LOCAL, Event, Job, JobStatus
from engine.values.query import Choice, Query, Split, make_query, query_from_json
from engine.values.rationale import RationaleOrigin, StageRow
from engine.values.run import EvalItem, Generation, RunStatus, SecondDraw
from engine.values.sample import BILLED, COST, GRADE, LOG_PROB, ParsedReply, Reason, Sample, SampleKey
from engine.values.teacher import MOST_COST, MOST_TOKENS, Purpose, Reply, Sampling, TeacherSpec, Token, Usage

__all__ = [
    "BILLED",
    "COST",
    "GRADE",
    "LOCAL",
    "LOG_PROB",
    "MOST_COST",
    "MOST_TOKENS",
    "Choice",
    "EvalItem",
    "Event",
    "Generation",
    "Job",
    "JobStatus",
    "ParsedReply",
    "Purpose",
    "Query",
    "RationaleOrigin",
    "Reason",
    "Reply",
    "RunStatus",
    "Sample",
    "SampleKey",
    "Sampling",
    "SecondDraw",
    "Split",
    "StageRow",
    "TeacherSpec",
    "Token",
    "Usage",
    "hash_id",
    "hash_list",
    "make_query",
    "query_from_json",
]
