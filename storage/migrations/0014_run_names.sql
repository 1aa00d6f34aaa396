-- What a person calls a run ("": by its number in the project) and remembers of it.
ALTER TABLE runs ADD COLUMN name VARCHAR DEFAULT '';
ALTER TABLE runs ADD COLUMN note VARCHAR DEFAULT '';
