-- The judge of the crash tests. DuckDB reads what the senders wrote down ({{.Sent}}), the
-- openings of the logs ({{.Openings}}) and the lake; no code of Landfall's takes part.
-- Gives rows (check, violations, example). A check whose name begins with '#' is a figure.
WITH
sent AS MATERIALIZED (
  SELECT * FROM read_csv('{{.Sent}}', header = true, columns = {
    'gateway': 'VARCHAR', 'source': 'VARCHAR', 'station': 'VARCHAR', 'resends': 'BOOLEAN', 'sure': 'BOOLEAN', 'sent_at': 'BIGINT', 'done_at': 'BIGINT',
    'line': 'VARCHAR', 'message': 'BIGINT', 'fragment': 'INTEGER', 'total': 'INTEGER', 'msg_type': 'INTEGER', 'mmsi': 'BIGINT'})
),
openings AS MATERIALIZED (
  SELECT * FROM read_csv('{{.Openings}}', header = true, columns = {
    'gateway': 'VARCHAR', 'log': 'VARCHAR', 'prev': 'VARCHAR', 'prev_end': 'BIGINT', 'last_at': 'BIGINT', 'opened_at': 'BIGINT', 'cut': 'BIGINT'})
),
rec AS MATERIALIZED (
  SELECT _gateway AS gateway, _log AS log, _offset AS off, _row, _rows, kind, split_part(source, '/', 1) AS source,
    hex(raw) AS raw, rows, reject_reason
  FROM {{.Record}}
),
typed AS MATERIALIZED (
{{.Typed}}
),
-- One row a line: the lines of a message are joined by 0A in its record.
got AS MATERIALIZED (
  SELECT gateway, source, log, off, kind, rows, reject_reason,
    lower(replace(unnest(string_split(regexp_replace(raw, '(..)', ' \1', 'g'), ' 0A')), ' ', '')) AS line
  FROM rec WHERE kind <> 'log_open'
),
got_n AS MATERIALIZED (SELECT gateway, source, line, count(*) AS n FROM got GROUP BY ALL),
missing AS MATERIALIZED (SELECT s.* FROM sent s ANTI JOIN got_n g USING (gateway, source, line)),
-- By itself, or DuckDB may join what was sent with typed by their gateway alone first: 40 GB.
numbered AS MATERIALIZED (SELECT g.gateway, g.log, g.off, s.line, s.mmsi FROM sent s JOIN got g USING (gateway, source, line) WHERE s.message > 0),
-- What a socket or a pty lost may have been under way between a log's end and the next one's opening.
excused AS MATERIALIZED (
  SELECT DISTINCT m.source, m.line FROM missing m JOIN openings o ON o.gateway = m.gateway
  WHERE NOT m.resends AND m.sent_at <= o.opened_at + {{.Tolerance}} AND m.done_at >= o.last_at - {{.Tolerance}}
),
exactly AS MATERIALIZED (
  SELECT DISTINCT m.source, m.line FROM missing m JOIN openings o ON o.gateway = m.gateway
  WHERE NOT m.resends AND m.sent_at <= o.opened_at AND m.done_at >= o.last_at
),
-- Half a line: a serial port keeps the rest of a line that a killed edge had begun to read, and a
-- connection may break in the middle of one.
pieces AS MATERIALIZED (
  SELECT DISTINCT g.gateway, g.source, g.line FROM (SELECT * FROM got_n ANTI JOIN sent USING (gateway, source, line)) g
  JOIN missing m ON m.gateway = g.gateway AND m.source = g.source AND NOT m.resends
  WHERE g.source = 'pty' AND ends_with(m.line, g.line) OR NOT m.sure AND starts_with(m.line, g.line)
),
per_record AS MATERIALIZED (
  SELECT gateway, log, off, count(*) AS n, count(DISTINCT _row) AS rows_seen, min(_row) AS low, max(_row) AS high,
    min(_rows) AS rows_low, max(_rows) AS rows_high
  FROM typed GROUP BY ALL
),
logs AS MATERIALIZED (SELECT gateway, log, count(*) AS n, count(DISTINCT off) AS distinct_n, min(off) AS low, max(off) AS high FROM rec GROUP BY ALL),
-- Offsets given up: a range may be declared again when it was also landed.
given_up AS MATERIALIZED (SELECT DISTINCT gateway, log, unnest(range(off, off + n)) AS off FROM (SELECT _gateway AS gateway, _log AS log, _offset AS off, count AS n FROM {{.Loss}})),
ends AS (SELECT gateway, log, max(off) + 1 AS n FROM (SELECT gateway, log, off FROM rec UNION ALL SELECT * FROM given_up) GROUP BY ALL),
accounted AS (SELECT gateway, log, count(*) AS n FROM (SELECT gateway, log, off FROM rec UNION SELECT * FROM given_up) GROUP BY ALL),
-- What the gateways summed up when they captured, and what record and loss sum up to.
said AS MATERIALIZED (SELECT _gateway AS gateway, _log AS log, last(digest ORDER BY next_offset, epoch) AS digest FROM {{.Log}} GROUP BY ALL),
held AS (
  SELECT gateway, log, sum(digest) AS digest, bool_or(digest IS NULL) AS unknown FROM (
    SELECT gateway, log, ('0x' || left(sha256(encode(log || ':' || off || ':') || unhex(raw)), 16))::UBIGINT AS digest FROM rec
    UNION ALL SELECT _gateway, _log, digest FROM {{.Loss}}) GROUP BY ALL
),
sums AS MATERIALIZED (
  SELECT gateway, log, CASE WHEN NOT coalesce(unknown, false) THEN coalesce(h.digest, 0) % 18446744073709551616 = s.digest END AS same
  FROM said s LEFT JOIN held h USING (gateway, log)
),
-- Messages of resendable sources of which every fragment was sent, with whatever noise among them.
complete AS (
  SELECT station, sent_at, max(message) AS message FROM sent WHERE resends AND message > 0
  GROUP BY ALL HAVING count(DISTINCT message) = 1 AND count(*) = any_value(total)
),
violations(name, n, example) AS (
  SELECT 'simulator repeats a line', count(*) - count(DISTINCT line), NULL FROM sent
  UNION ALL SELECT 'missing although its sender resends', count(*), any_value(source || ' ' || line) FROM missing WHERE resends AND sure
  UNION ALL SELECT 'missing outside the declared intervals', count(*), any_value(source || ' at ' || sent_at || ' ' || line)
    FROM missing m ANTI JOIN excused e USING (source, line) WHERE NOT resends AND sure
  UNION ALL SELECT 'captured twice', count(*), any_value(source || ' ' || line) FROM got_n SEMI JOIN sent USING (gateway, source, line) WHERE n > 1
  UNION ALL SELECT 'captured but never sent', count(*), any_value(gateway || ' ' || source || ' ' || line)
    FROM got_n ANTI JOIN sent USING (gateway, source, line) ANTI JOIN pieces USING (gateway, source, line)
  UNION ALL SELECT 'offset twice in record', count(*), any_value(log) FROM logs WHERE n <> distinct_n
  UNION ALL SELECT 'offsets not 0 to n-1', count(*), any_value(gateway || ' ' || log || ' ' || low || ' ' || high || ' ' || n) FROM logs WHERE low <> 0 OR high <> n - 1
  UNION ALL SELECT 'record of which _rows is not rows', count(*), any_value(log || ' ' || off) FROM rec WHERE _row <> 0 OR _rows <> rows
  UNION ALL SELECT 'record whose typed rows are not complete', count(*), any_value(r.log || ' ' || r.off)
    FROM rec r LEFT JOIN per_record p USING (gateway, log, off)
    WHERE r.rows <> coalesce(p.n, 0) OR p.n > 0 AND (p.rows_seen <> p.n OR p.low <> 0 OR p.high <> p.n - 1 OR p.rows_low <> p.n OR p.rows_high <> p.n)
  UNION ALL SELECT 'typed row without a record', count(*), any_value(log || ' ' || off) FROM typed ANTI JOIN rec USING (gateway, log, off)
  UNION ALL SELECT 'typed row with another station''s number', count(*), any_value(t.tbl || ' ' || n.line)
    FROM numbered n JOIN typed t USING (gateway, log, off) WHERE t.mmsi <> n.mmsi
  UNION ALL SELECT 'good sentence without a typed row', count(*), any_value(s.msg_type || ' ' || s.line || ' ' || coalesce(g.reject_reason, ''))
    FROM sent s JOIN got g USING (gateway, source, line) WHERE s.total = 1 AND (g.kind <> 'ais' OR g.rows = 0 OR g.reject_reason IS NOT NULL)
  UNION ALL SELECT 'message not joined although all of it was sent', count(*), any_value(s.msg_type || ' ' || s.line)
    FROM complete c JOIN sent s USING (station, message) JOIN got g USING (gateway, source, line) WHERE g.kind <> 'ais'
  UNION ALL SELECT 'log whose predecessor is not in the lake to its end', count(*), any_value(o.gateway || ' ' || o.log)
    FROM openings o LEFT JOIN logs l ON l.gateway = o.gateway AND l.log = o.prev
    WHERE o.prev <> repeat('0', 32) AND (l.n IS NULL OR l.n <> o.prev_end)
  UNION ALL SELECT 'two logs after one', count(*), any_value(prev) FROM (SELECT gateway, prev FROM openings WHERE prev <> repeat('0', 32) GROUP BY ALL HAVING count(*) > 1)
  UNION ALL SELECT 'two first logs of a gateway', count(*), any_value(gateway) FROM (SELECT gateway FROM openings WHERE prev = repeat('0', 32) GROUP BY ALL HAVING count(*) > 1)
  UNION ALL SELECT 'log without an opening', count(*), any_value(log) FROM logs ANTI JOIN openings USING (gateway, log)
  UNION ALL SELECT 'log that record and loss do not add up to', count(*), any_value(gateway || ' ' || log) FROM sums WHERE NOT same
  UNION ALL SELECT 'log without a row of log', count(*), any_value(log) FROM logs ANTI JOIN said USING (gateway, log)
  UNION ALL SELECT 'range in loss', count(*), NULL FROM {{.Loss}}
  UNION ALL SELECT 'block in conflict', count(*), NULL FROM {{.Conflict}}
  UNION ALL SELECT '# lines sent, resendable', count(*), NULL FROM sent WHERE resends
  UNION ALL SELECT '# lines sent, others', count(*), NULL FROM sent WHERE NOT resends
  UNION ALL SELECT '# lines captured', count(*), NULL FROM got
  UNION ALL SELECT '# lines missing in declared intervals', count(*), string_agg(DISTINCT source, ' ') FROM missing WHERE NOT resends
  UNION ALL SELECT '# of them within {{.Tolerance}} us of one', count(*), string_agg(DISTINCT source, ' ') FROM excused ANTI JOIN exactly USING (source, line)
  UNION ALL SELECT '# pieces of lines', count(*), string_agg(DISTINCT source, ' ') FROM pieces
  UNION ALL SELECT '# offsets in loss', count(*), NULL FROM given_up ANTI JOIN rec USING (gateway, log, off)
  UNION ALL SELECT '# offsets both in record and in loss', count(*), NULL FROM given_up SEMI JOIN rec USING (gateway, log, off)
  UNION ALL SELECT '# offsets neither in record nor in loss', coalesce(sum(e.n - a.n), 0), NULL FROM ends e JOIN accounted a USING (gateway, log)
  UNION ALL SELECT '# logs', count(*), NULL FROM logs
  UNION ALL SELECT '# of them with a digest that adds up', count(*), NULL FROM sums WHERE same
  UNION ALL SELECT '# records', count(*), NULL FROM rec
  UNION ALL SELECT '# records rejected', count(*), NULL FROM rec WHERE reject_reason IS NOT NULL
  UNION ALL SELECT '# typed rows', count(*), NULL FROM typed
)
SELECT name, n, example FROM violations
