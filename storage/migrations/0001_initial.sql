CREATE TABLE projects (
    id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL UNIQUE, config VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL
);
CREATE TABLE queries (
    project_id VARCHAR, id VARCHAR, key VARCHAR, text VARCHAR NOT NULL, choices VARCHAR NOT NULL, kind VARCHAR,
    split VARCHAR NOT NULL, position BIGINT NOT NULL, PRIMARY KEY (project_id, id)
);
-- Gold labels stand apart: nothing that labels or selects reads this table.
CREATE TABLE golds (project_id VARCHAR, query_id VARCHAR, label VARCHAR NOT NULL, PRIMARY KEY (project_id, query_id));
CREATE TABLE teachers (project_id VARCHAR, name VARCHAR, spec VARCHAR NOT NULL, PRIMARY KEY (project_id, name));
CREATE TABLE prompts (hash VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, text VARCHAR NOT NULL);
CREATE TABLE attempts (
    project_id VARCHAR, id VARCHAR, job_id VARCHAR, sample_id VARCHAR, query_id VARCHAR, teacher VARCHAR,
    purpose VARCHAR, prompt_hash VARCHAR, error VARCHAR, message VARCHAR, raw VARCHAR, input_tokens BIGINT,
    output_tokens BIGINT, latency_s DOUBLE, PRIMARY KEY (project_id, id)
);
CREATE TABLE samples (
    project_id VARCHAR, id VARCHAR, query_id VARCHAR NOT NULL, teacher VARCHAR NOT NULL, rationale VARCHAR NOT NULL,
    label VARCHAR NOT NULL, label_key VARCHAR NOT NULL, factors MAP(VARCHAR, DOUBLE) NOT NULL, draw INTEGER NOT NULL,
    split VARCHAR NOT NULL, text_hash VARCHAR NOT NULL, PRIMARY KEY (project_id, id)
);
CREATE TABLE embeddings_384 (
    model VARCHAR, revision VARCHAR, text_hash VARCHAR, vector FLOAT[384], PRIMARY KEY (model, revision, text_hash)
);
CREATE TABLE embeddings_768 (
    model VARCHAR, revision VARCHAR, text_hash VARCHAR, vector FLOAT[768], PRIMARY KEY (model, revision, text_hash)
);
CREATE TABLE selections (
    id VARCHAR PRIMARY KEY, project_id VARCHAR NOT NULL, config VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL,
    counts VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL
);
CREATE TABLE selection_rows (
    selection_id VARCHAR, sample_id VARCHAR, query_id VARCHAR, teacher VARCHAR, confidence DOUBLE, renormalised BOOLEAN,
    reason VARCHAR NOT NULL, similarity DOUBLE, PRIMARY KEY (selection_id, sample_id)
);
CREATE TABLE runs (
    id VARCHAR PRIMARY KEY, project_id VARCHAR NOT NULL, selection_id VARCHAR NOT NULL, plan VARCHAR NOT NULL,
    folder VARCHAR NOT NULL, status VARCHAR NOT NULL, message VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL
);
CREATE TABLE steps (
    run_id VARCHAR, position INTEGER, name VARCHAR, kind VARCHAR NOT NULL, status VARCHAR NOT NULL, job_id VARCHAR,
    fingerprint VARCHAR, result VARCHAR, PRIMARY KEY (run_id, name)
);
CREATE TABLE rationales (
    project_id VARCHAR, run_id VARCHAR, sample_id VARCHAR, origin VARCHAR, version INTEGER, text VARCHAR NOT NULL,
    flags VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL, PRIMARY KEY (run_id, sample_id, version)
);
CREATE TABLE metrics (
    run_id VARCHAR, step VARCHAR, update_no BIGINT, name VARCHAR, value DOUBLE,
    PRIMARY KEY (run_id, step, update_no, name)
);
CREATE TABLE answers (
    run_id VARCHAR, step VARCHAR, system VARCHAR, query_id VARCHAR, text VARCHAR NOT NULL, label VARCHAR,
    tokens BIGINT NOT NULL, finished BOOLEAN NOT NULL, latency_s DOUBLE, correct BOOLEAN,
    PRIMARY KEY (run_id, step, system, query_id)
);
CREATE TABLE report_rows (
    run_id VARCHAR, name VARCHAR, kind VARCHAR, n BIGINT, accuracy DOUBLE, ci_low DOUBLE, ci_high DOUBLE,
    parse_rate DOUBLE, mean_output_tokens DOUBLE, p95_output_tokens DOUBLE, mean_latency_s DOUBLE,
    position INTEGER, PRIMARY KEY (run_id, name, kind)
);
CREATE TABLE differences (
    run_id VARCHAR, name VARCHAR, baseline VARCHAR, n BIGINT, difference DOUBLE, ci_low DOUBLE, ci_high DOUBLE,
    PRIMARY KEY (run_id, name, baseline)
);
CREATE SEQUENCE job_numbers;
CREATE TABLE jobs (
    id VARCHAR PRIMARY KEY, number BIGINT NOT NULL DEFAULT nextval('job_numbers'), project_id VARCHAR NOT NULL,
    run_id VARCHAR, kind VARCHAR NOT NULL, status VARCHAR NOT NULL, spec VARCHAR NOT NULL, folder VARCHAR NOT NULL,
    "offset" BIGINT NOT NULL, pid BIGINT, pid_started DOUBLE, cancel_at DOUBLE, message VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE TABLE events (
    job_id VARCHAR, seq BIGINT, type VARCHAR NOT NULL, "at" DOUBLE NOT NULL, data VARCHAR NOT NULL,
    PRIMARY KEY (job_id, seq)
);
