-- How many threads the first worker of a run had: later ones have as many, so that sums are rounded in the same order.
ALTER TABLE runs ADD COLUMN threads INTEGER;
