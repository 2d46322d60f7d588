-- The seal of a run's journal: a hash over its events, each with the one before. Filled for the runs that are there by the program.
ALTER TABLE run ADD COLUMN seal BLOB NOT NULL DEFAULT x'';

-- Calls that wait for an idempotency key that another call is at work for, so that those who wait for one another are found. A row
-- counts as long as its owner (`root`, `epoch`) lives and its call has not ended.
CREATE TABLE once_wait (
  run INTEGER NOT NULL,
  call_id INTEGER NOT NULL,
  key BLOB NOT NULL,
  root INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  PRIMARY KEY (run, call_id)
) STRICT, WITHOUT ROWID;

-- Query: who waits for a key.
CREATE INDEX once_wait_key ON once_wait (key);
