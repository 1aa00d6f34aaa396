-- Rewritten rationales belong to the step that asked for them; done again, the step leaves its earlier ones as history.
ALTER TABLE rationales ADD COLUMN step VARCHAR;
ALTER TABLE rationales ADD COLUMN outdated BOOLEAN DEFAULT FALSE;
UPDATE rationales SET step = (
    SELECT max_by(s.name, s.position) FROM steps s WHERE s.run_id = rationales.run_id AND s.kind = 'compress'
);
-- The row of a report over all queries has a kind that no user's kind can have.
UPDATE report_rows SET kind = '' WHERE kind = 'all';
