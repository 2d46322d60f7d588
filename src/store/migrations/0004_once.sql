-- Requests that are carried out once, by the hash of what their idempotency key is about. A row without an answer says who is,
-- or was, at work for it; with one, `event` is the `call_finished` event that holds it, until its run is pruned and the
-- event's text moves into the row.
CREATE TABLE once (
  key BLOB PRIMARY KEY,
  params BLOB NOT NULL,
  root INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  run INTEGER NOT NULL,
  call_id INTEGER NOT NULL,
  event INTEGER,
  run_id TEXT,
  body TEXT,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Query: what a run that is pruned leaves behind.
CREATE INDEX once_run ON once (run);
