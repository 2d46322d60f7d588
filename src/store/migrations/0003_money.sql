-- What tokens were, whose number nobody knows, and which prices a cost was estimated with. Rows written by an older program have
-- none of it: zero and null say so.
ALTER TABLE run ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
-- Calls that used tokens whose number nobody knows.
ALTER TABLE run ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE call ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE call ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
-- The day of the prices that its cost was estimated with.
ALTER TABLE call ADD COLUMN prices_as_of TEXT;
