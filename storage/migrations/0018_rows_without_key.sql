-- What was decided of a sample is found by its selection, whose rows lie together; the index over both took a third of
-- the memory that storing a selection of millions takes. `storage.selections` writes each sample once.
CREATE TABLE decided_rows (
    selection_id VARCHAR NOT NULL, sample_id VARCHAR NOT NULL, query_id VARCHAR, teacher VARCHAR, confidence DOUBLE,
    renormalised BOOLEAN, reason VARCHAR NOT NULL, similarity DOUBLE, edit BIGINT
);
INSERT INTO decided_rows
    SELECT selection_id, sample_id, query_id, teacher, confidence, renormalised, reason, similarity, edit
    FROM selection_rows;
DROP TABLE selection_rows;
ALTER TABLE decided_rows RENAME TO selection_rows;
