-- Requests that were announced before they went out and whose end is not known (yet): `worst` is what they cost at most in
-- US dollars, NULL where the price is unknown. open: nothing came; told: the attempt stands on the ledger, but nobody
-- knows whether it was billed; again: nothing came, and the same request was answered under the same key since.
CREATE TABLE intents (
    project_id VARCHAR, job_id VARCHAR, id VARCHAR, "at" DOUBLE, teacher VARCHAR NOT NULL, purpose VARCHAR NOT NULL,
    request VARCHAR NOT NULL, sent_as VARCHAR NOT NULL, worst DECIMAL(18, 9), requests BIGINT NOT NULL,
    state VARCHAR NOT NULL, PRIMARY KEY (job_id, id)
);
