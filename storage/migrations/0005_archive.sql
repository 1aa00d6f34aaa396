-- A project that is put away: out of the list, with all that it holds.
ALTER TABLE projects ADD COLUMN archived BOOLEAN DEFAULT FALSE;
