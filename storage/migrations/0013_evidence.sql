-- What is known of a sample beside its teacher's own scores, by name: the log-prob of its label, its teacher's grade.
CREATE TABLE evidence (
    project_id VARCHAR, sample_id VARCHAR, name VARCHAR, value DOUBLE NOT NULL,
    PRIMARY KEY (project_id, sample_id, name)
);
