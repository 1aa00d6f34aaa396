-- The mean log-prob of the tokens that hold an answer's label; none of answers that were written before.
ALTER TABLE answers ADD COLUMN log_prob DOUBLE;
