-- A project's own versions of the teachers' prompt; the newest counts. Version 1 is the one that the program brings.
CREATE TABLE project_prompts (
    project_id VARCHAR, version INTEGER, text VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (project_id, version)
);
