-- The judge of windows: what DuckDB makes of sensor_reading and late alone, against window.
-- Gives rows (check, violations, example). A check whose name begins with '#' is a figure.
WITH
marks AS MATERIALIZED (SELECT * FROM read_csv('{{.Marks}}', header = true, columns = {'gateway': 'VARCHAR', 'watermark': 'BIGINT'})),
sent AS MATERIALIZED (SELECT * FROM read_csv('{{.Sent}}', header = true, columns = {'gateway': 'VARCHAR', 't': 'BIGINT', 'value': 'DOUBLE'})),
openings AS MATERIALIZED (SELECT _log AS log, row_number() OVER (PARTITION BY _gateway ORDER BY received_at) AS age FROM {{.Record}} WHERE kind = 'log_open'),
reading AS MATERIALIZED (
  SELECT _gateway AS gateway, _log AS log, _offset AS off, _row AS row, source, sensor, metric, epoch_us(event_time) AS t, value,
    epoch_us(event_time) // {{.Size}} * {{.Size}} AS start,
    max(epoch_us(event_time)) OVER (PARTITION BY _gateway ORDER BY o.age, _offset, _row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newest
  FROM {{.Reading}} r JOIN openings o ON o.log = r._log
),
late AS MATERIALIZED (
  SELECT _gateway AS gateway, _log AS log, _offset AS off, _row AS row, epoch_us(event_time) AS t, value, epoch_us(watermark) AS watermark, epoch_us(window_start) AS start
  FROM {{.Late}}
),
model AS MATERIALIZED (
  SELECT gateway, source, sensor, metric, start, count(*) AS n, min(value) AS low, max(value) AS high, sum(value) / count(*) AS mean,
    arg_max(value, t) AS newest, max(t) AS newest_at, arg_max(log || off, t) AS newest_row
  FROM reading r ANTI JOIN late l USING (gateway, log, off, row) JOIN marks m USING (gateway)
  WHERE start + {{.Size}} + {{.Lateness}} <= m.watermark
  GROUP BY ALL
),
windows AS MATERIALIZED (
  SELECT _gateway AS gateway, source, sensor, metric, epoch_us(window_start) AS start, count AS n, min AS low, max AS high, mean,
    last AS newest, epoch_us(last_at) AS newest_at, _log || _offset AS newest_row, epoch_us(window_end) AS finish
  FROM {{.Window}}
)
SELECT 'reading that nobody sent' AS name, count(*) AS n, any_value(gateway || ' ' || t) AS example FROM reading ANTI JOIN sent USING (gateway, t, value)
UNION ALL SELECT 'sent and no reading', count(*), any_value(gateway || ' ' || t) FROM sent ANTI JOIN reading USING (gateway, t, value)
UNION ALL SELECT 'reading twice', count(*) - count(DISTINCT (gateway, t)), NULL FROM reading
UNION ALL SELECT 'window twice', count(*) - count(DISTINCT (gateway, source, sensor, metric, start)), NULL FROM windows
UNION ALL SELECT 'window that is not the model''s', count(*), any_value(gateway || ' ' || start || ' ' || n) FROM windows
  ANTI JOIN model USING (gateway, source, sensor, metric, start, n, low, high, mean, newest, newest_at, newest_row)
UNION ALL SELECT 'closed and no window', count(*), any_value(gateway || ' ' || start || ' ' || n) FROM model
  ANTI JOIN windows USING (gateway, source, sensor, metric, start, n, low, high, mean, newest, newest_at, newest_row)
UNION ALL SELECT 'window of another length', count(*), any_value(gateway || ' ' || start) FROM windows WHERE finish <> start + {{.Size}}
UNION ALL SELECT 'late twice', count(*) - count(DISTINCT (gateway, log, off, row)), NULL FROM late
UNION ALL SELECT 'late and not its reading''s copy', count(*), any_value(gateway || ' ' || t) FROM late ANTI JOIN reading USING (gateway, log, off, row, t, value, start)
UNION ALL SELECT 'late although its window stood open', count(*), any_value(gateway || ' ' || t) FROM late WHERE start + {{.Size}} + {{.Lateness}} > watermark
UNION ALL SELECT 'late by more than its gateway had seen', count(*), any_value(l.gateway || ' ' || l.t || ' ' || l.watermark) FROM late l
  JOIN reading r USING (gateway, log, off, row) WHERE l.watermark > r.newest - {{.Disorder}}
UNION ALL SELECT '# readings of ' || gateway, count(*), NULL FROM reading GROUP BY gateway
UNION ALL SELECT '# late of ' || gateway, count(*), NULL FROM late GROUP BY gateway
UNION ALL SELECT '# windows of ' || gateway, count(*), NULL FROM windows GROUP BY gateway
