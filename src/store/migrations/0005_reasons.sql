-- One more reason for which a run stands where it stands: the projection of runs is made anew around it.
CREATE TABLE run_5 (
  no INTEGER PRIMARY KEY,
  root INTEGER NOT NULL,
  parent INTEGER,
  parent_call INTEGER,
  resumed_from TEXT,
  workflow_name TEXT NOT NULL,
  request_key TEXT,
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')),
  status_reason TEXT CHECK (status_reason IN ('approval', 'repeat', 'user', 'provider_auth', 'provider_quota',
    'owner_gone', 'not_started', 'superseded', 'workflow')),
  message TEXT,
  cancel_requested INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  completed_at INTEGER,
  last_at INTEGER NOT NULL,
  owned_since INTEGER,
  owned_ms INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  settings_seq INTEGER NOT NULL,
  finished_seq INTEGER,
  calls INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  cost_nanos INTEGER,
  cost_sources INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
  cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  -- Calls that used tokens whose number nobody knows.
  untold INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO run_5 SELECT * FROM run;
DROP TABLE run;
ALTER TABLE run_5 RENAME TO run;

-- Query: the runs of a tree, for prune and for its inbox.
CREATE INDEX run_root ON run (root);
-- Query: the child runs of a run.
CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL;
-- Query: the runs that resumed a run.
CREATE INDEX run_resumed ON run (resumed_from) WHERE resumed_from IS NOT NULL;
-- Query: an earlier start with the same request key.
CREATE INDEX run_request_key ON run (request_key) WHERE request_key IS NOT NULL;
-- Query: the latest earlier runs of a workflow, to say why a call missed the cache.
CREATE INDEX run_workflow ON run (workflow_name, no);
