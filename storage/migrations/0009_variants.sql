-- Reports are long: a row a system, kind of query and measure, with an interval where the measure has one.
CREATE TABLE report_values (
    run_id VARCHAR, position INTEGER NOT NULL, name VARCHAR, kind VARCHAR, scored_by VARCHAR NOT NULL, measure VARCHAR,
    value DOUBLE NOT NULL, low DOUBLE, high DOUBLE, n BIGINT NOT NULL, PRIMARY KEY (run_id, name, kind, measure)
);
INSERT INTO report_values
    SELECT run_id, coalesce(position, 0), name, kind, coalesce(measure, 'accuracy'), 'score', accuracy, ci_low, ci_high, n
    FROM report_rows WHERE accuracy IS NOT NULL AND n IS NOT NULL
    UNION ALL
    SELECT run_id, coalesce(position, 0), name, kind, coalesce(measure, 'accuracy'), 'read', parse_rate, NULL, NULL, n
    FROM report_rows WHERE parse_rate IS NOT NULL AND n IS NOT NULL
    UNION ALL
    SELECT run_id, coalesce(position, 0), name, kind, coalesce(measure, 'accuracy'), 'tokens', mean_output_tokens, NULL, NULL, n
    FROM report_rows WHERE mean_output_tokens IS NOT NULL AND n IS NOT NULL
    UNION ALL
    SELECT run_id, coalesce(position, 0), name, kind, coalesce(measure, 'accuracy'), 'tokens-p95', p95_output_tokens, NULL, NULL, n
    FROM report_rows WHERE p95_output_tokens IS NOT NULL AND n IS NOT NULL
    UNION ALL
    SELECT run_id, coalesce(position, 0), name, kind, coalesce(measure, 'accuracy'), 'seconds', mean_latency_s, NULL, NULL, n
    FROM report_rows WHERE mean_latency_s IS NOT NULL AND n IS NOT NULL;
DROP TABLE report_rows;
-- A selection that a plan brings stands apart: it is not what the project has selected.
ALTER TABLE selections ADD COLUMN of_plan BOOLEAN DEFAULT FALSE;
