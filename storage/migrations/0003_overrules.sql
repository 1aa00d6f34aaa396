-- What a person decided over the selection. Every decision stays; the newest one that was not undone counts.
CREATE SEQUENCE overrule_numbers;
CREATE TABLE overrules (
    number BIGINT PRIMARY KEY DEFAULT nextval('overrule_numbers'), project_id VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL, action VARCHAR NOT NULL, undone BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMP NOT NULL
);
