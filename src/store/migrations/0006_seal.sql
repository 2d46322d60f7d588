-- The seal of a run's journal: a hash over its events, each with the one before. Filled for the runs that are there by the program.
ALTER TABLE run ADD COLUMN seal BLOB NOT NULL DEFAULT x'';
