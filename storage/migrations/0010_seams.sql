-- What a task needs of a query beside its text and choices, as visible tests, by name.
ALTER TABLE queries ADD COLUMN extra VARCHAR DEFAULT '{}';
-- Where a job's worker runs, and what that backend finds it by.
ALTER TABLE jobs ADD COLUMN backend VARCHAR DEFAULT 'local';
ALTER TABLE jobs ADD COLUMN handle VARCHAR;
UPDATE jobs SET handle = pid || ' ' || pid_started WHERE pid IS NOT NULL AND pid_started IS NOT NULL;
ALTER TABLE jobs DROP COLUMN pid;
ALTER TABLE jobs DROP COLUMN pid_started;
-- Rationales and approvals belong to a step of a run: versions of each step's are numbered by themselves.
CREATE TABLE step_rationales (
    project_id VARCHAR, run_id VARCHAR, step VARCHAR, sample_id VARCHAR, version INTEGER, origin VARCHAR,
    text VARCHAR NOT NULL, flags VARCHAR NOT NULL, note VARCHAR, outdated BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP NOT NULL, PRIMARY KEY (run_id, step, sample_id, version)
);
INSERT INTO step_rationales
    SELECT project_id, run_id, coalesce(step, ''), sample_id, version, origin, text, flags, note,
        coalesce(outdated, FALSE), created_at
    FROM rationales;
CREATE TABLE step_approvals (
    run_id VARCHAR, step VARCHAR, sample_id VARCHAR, version INTEGER, created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (run_id, step, sample_id, version)
);
INSERT INTO step_approvals
    SELECT a.run_id, coalesce(v.step, ''), a.sample_id, a.version, a.created_at
    FROM approvals a JOIN rationales v USING (run_id, sample_id, version);
DROP TABLE approvals;
DROP TABLE rationales;
ALTER TABLE step_rationales RENAME TO rationales;
ALTER TABLE step_approvals RENAME TO approvals;
