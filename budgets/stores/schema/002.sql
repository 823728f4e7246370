-- Thresholds of limits, boosts of periods, archived budgets; entries by time.

ALTER TABLE budgets ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE limits ADD COLUMN warn_at TEXT NOT NULL DEFAULT '';  -- whole percents, rising: '50,80'
ALTER TABLE periods ADD COLUMN boost INTEGER NOT NULL DEFAULT 0; -- raises the limit in this period
CREATE INDEX entries_by_time ON entries (project, at);
-- What other processes keep in memory was read by the schema before.
UPDATE changes SET version = version + 1;
