-- How many tokens hold an answer's label: with their mean log-prob, the log-prob of the label itself. None of answers written before.
ALTER TABLE answers ADD COLUMN label_tokens INTEGER;
