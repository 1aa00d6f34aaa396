-- What a request cost in US dollars; NULL where the price or the tokens are unknown.
ALTER TABLE attempts ADD COLUMN cost DECIMAL(18, 9);
ALTER TABLE attempts ADD COLUMN cached_tokens BIGINT;
ALTER TABLE attempts ADD COLUMN finish_reason VARCHAR;
-- What probing found out about an endpoint and a model.
CREATE TABLE capabilities (
    provider VARCHAR, endpoint VARCHAR, model VARCHAR, found VARCHAR NOT NULL, "at" DOUBLE NOT NULL,
    PRIMARY KEY (provider, endpoint, model)
);
-- Which draw a request was, so that a reply that could not be read can be read again without asking.
ALTER TABLE attempts ADD COLUMN draw INTEGER;
ALTER TABLE attempts ADD COLUMN "at" DOUBLE;
