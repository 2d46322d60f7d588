-- The first format. Times are milliseconds since 1970 (UTC). A run is known inside the database by a small number; an
-- event or a call is keyed by run number * 2^32 + its own number, so that a run's rows lie together, in order, and are
-- found without an index.

-- What the store is: `format`, `lowest_reader` (the lowest format that may still read it), `written_by`.
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The identity of every run; numbers are never used twice.
CREATE TABLE run_key (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Query: a run by its id, or by a prefix of it.
  run_id TEXT NOT NULL UNIQUE
) STRICT;

-- The journal, append-only: the truth.
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  call_id INTEGER,
  body TEXT NOT NULL
) STRICT;

-- The journal as a person reads it.
CREATE VIEW journal AS
  SELECT run_key.run_id, event.id & 4294967295 AS seq, event.at, json_extract(event.body, '$.type') AS type,
    event.call_id, event.body
  FROM event JOIN run_key ON run_key.no = event.id >> 32;

-- Query: the events of one call, in order.
CREATE INDEX event_call ON event ((id >> 32 << 32) + call_id) WHERE call_id IS NOT NULL;

-- Who may write a run tree: one row per root. Not part of the journal; the lock file says who is alive.
CREATE TABLE lease (
  root INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  pid INTEGER,
  host TEXT,
  boot_id TEXT,
  process_start INTEGER,
  since INTEGER
) STRICT;

-- Cancels, pauses and decisions of other processes, append-only: the second source of truth until consumed.
CREATE TABLE inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  root INTEGER NOT NULL,
  run INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('cancel', 'pause', 'decide')),
  body TEXT NOT NULL,
  at INTEGER NOT NULL,
  consumed INTEGER NOT NULL DEFAULT 0 CHECK (consumed IN (0, 1))
) STRICT;

-- Query: what an owner has yet to act on, polled every few milliseconds.
CREATE INDEX inbox_waiting ON inbox (root, id) WHERE consumed = 0;

-- Pinned content by its SHA-256: scripts, personas, fixture files.
CREATE TABLE source (
  no INTEGER PRIMARY KEY,
  -- Query: content by its hash.
  hash BLOB NOT NULL UNIQUE,
  bytes BLOB NOT NULL
) STRICT;

-- Answers of earlier runs by cache key and occurrence. A row points at the `call_finished` event; when that run is
-- pruned the event's text moves into the row.
CREATE TABLE cache (
  key BLOB NOT NULL,
  occurrence INTEGER NOT NULL,
  event INTEGER,
  run_id TEXT,
  body TEXT,
  PRIMARY KEY (key, occurrence),
  CHECK (event IS NOT NULL OR (run_id IS NOT NULL AND body IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Who is executing a request now, so that the same one is not asked twice at once.
CREATE TABLE cache_claim (
  key BLOB NOT NULL,
  occurrence INTEGER NOT NULL,
  root INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (key, occurrence)
) STRICT, WITHOUT ROWID;

-- Files of a run, as recorded when they were complete.
CREATE TABLE artifact (
  run INTEGER NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  call_id INTEGER,
  size_bytes INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  mime_type TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (run, path)
) STRICT, WITHOUT ROWID;

-- Projection: one row per run.
CREATE TABLE run (
  no INTEGER PRIMARY KEY,
  root INTEGER NOT NULL,
  parent INTEGER,
  parent_call INTEGER,
  resumed_from TEXT,
  workflow_name TEXT NOT NULL,
  request_key TEXT,
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')),
  status_reason TEXT CHECK (status_reason IN ('approval', 'repeat', 'user', 'provider_auth', 'provider_quota',
    'owner_gone', 'not_started', 'superseded')),
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
  simulated INTEGER NOT NULL CHECK (simulated IN (0, 1))
) STRICT;

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

-- Projection: which pinned content a run needs.
CREATE TABLE run_source (
  hash BLOB NOT NULL,
  run INTEGER NOT NULL,
  PRIMARY KEY (hash, run)
) STRICT, WITHOUT ROWID;

-- Projection: one row per call.
CREATE TABLE call (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('agent', 'tool', 'command', 'expr', 'workflow', 'approval', 'timer', 'turn')),
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'done', 'failed', 'schema_failed', 'provider_failed',
    'timeout', 'worktree_failed', 'budget_exhausted', 'denied', 'skipped', 'cancelled')),
  label TEXT NOT NULL,
  phase TEXT,
  line INTEGER,
  col INTEGER,
  cache_status TEXT CHECK (cache_status IN ('replayed', 'hit', 'miss', 'bypassed', 'disabled')),
  cache_note TEXT,
  provider TEXT,
  model TEXT,
  attempts INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  cost_nanos INTEGER,
  cost_source INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  requested_at INTEGER NOT NULL,
  started_at INTEGER,
  error_class TEXT,
  error_message TEXT,
  child_run TEXT,
  reused_run TEXT,
  reused_call INTEGER,
  flags INTEGER NOT NULL,
  requested_seq INTEGER NOT NULL,
  cached_seq INTEGER,
  finished_seq INTEGER,
  changed_seq INTEGER NOT NULL
) STRICT;

-- Projection of the questions and of the decisions in the inbox: one row per question; a decision takes it once.
CREATE TABLE approval (
  run INTEGER NOT NULL,
  approval_id INTEGER NOT NULL,
  call_id INTEGER NOT NULL,
  note TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  expires_at INTEGER,
  asked_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'expired', 'cancelled')),
  decision TEXT CHECK (decision IN ('approve', 'deny')),
  decided_at INTEGER,
  decided_by TEXT,
  decided_via TEXT,
  reason TEXT,
  PRIMARY KEY (run, approval_id)
) STRICT, WITHOUT ROWID;

-- Query: the open questions of all runs.
CREATE INDEX approval_pending ON approval (run) WHERE state = 'pending';
