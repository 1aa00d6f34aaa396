-- An edit is a decision too: `text` is what a person wrote in place of the rationale. A selection names the edits that
-- it was made with, so that what a run was built on stays as it was.
ALTER TABLE overrules ADD COLUMN text VARCHAR;
ALTER TABLE selection_rows ADD COLUMN edit BIGINT;
