-- Which version of a rewritten rationale a person approved, and what a person asked for when it was asked again.
CREATE TABLE approvals (
    run_id VARCHAR, sample_id VARCHAR, version INTEGER, created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (run_id, sample_id, version)
);
ALTER TABLE rationales ADD COLUMN note VARCHAR;
-- What a report's scores are: accuracy by gold labels, or agreement with the teachers' consensus where there are none.
ALTER TABLE report_rows ADD COLUMN measure VARCHAR DEFAULT 'accuracy';
-- Blind votes of the playground: which of two systems answered a query better.
CREATE SEQUENCE vote_numbers;
CREATE TABLE votes (
    number BIGINT PRIMARY KEY DEFAULT nextval('vote_numbers'), project_id VARCHAR NOT NULL, query VARCHAR NOT NULL,
    first VARCHAR NOT NULL, second VARCHAR NOT NULL, first_text VARCHAR NOT NULL, second_text VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL
);
