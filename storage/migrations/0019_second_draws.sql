-- A second, sampled answer beside the greedy one, where somebody asked for it: what it says, what it took, and whether its label is the same.
ALTER TABLE answers ADD COLUMN second_text VARCHAR;
ALTER TABLE answers ADD COLUMN second_tokens BIGINT;
ALTER TABLE answers ADD COLUMN second_latency_s DOUBLE;
ALTER TABLE answers ADD COLUMN second_temperature DOUBLE;
ALTER TABLE answers ADD COLUMN second_agrees BOOLEAN;
