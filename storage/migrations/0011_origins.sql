-- The question that a query paraphrases, by the id of a query that asks just it: both are in one split.
ALTER TABLE queries ADD COLUMN origin VARCHAR;
