-- Bytes of text per token as observed with a model, in thousandths: what estimates of later runs are corrected by.
CREATE TABLE observed (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  milli INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT;

-- Query: the latest observations of a model.
CREATE INDEX observed_model ON observed (provider, model, id);
