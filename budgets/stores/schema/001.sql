-- Money is whole nano-dollars, moments are microseconds since 1970 in UTC.

CREATE TABLE budgets (
    project TEXT NOT NULL,
    user TEXT NOT NULL,            -- '' is the project's own
    parent TEXT,                   -- NULL only for the project's own
    frozen INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (project, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE limits (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    position INTEGER NOT NULL,     -- 0 is the primary one
    total INTEGER,                 -- NULL: counted, not capped
    every INTEGER NOT NULL,
    unit TEXT NOT NULL,
    timezone TEXT NOT NULL,
    anchor TEXT,                   -- wall time in the zone; NULL: aligned to the calendar
    reset_at INTEGER,
    FOREIGN KEY (project, user) REFERENCES budgets (project, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_of_user ON limits (project, user, position);

-- The running sums, kept in step with entries and holds in the same transaction.
CREATE TABLE periods (
    limit_id TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER,                 -- NULL: never
    spent INTEGER NOT NULL,
    held INTEGER NOT NULL,
    unconfirmed INTEGER NOT NULL,
    touched INTEGER,
    PRIMARY KEY (limit_id, start)
) STRICT, WITHOUT ROWID;
-- The current period of every limit that will end, for finding what is due.
CREATE TABLE due (
    limit_id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    "end" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX due_by_end ON due (project, "end");

CREATE TABLE models (
    limit_id TEXT NOT NULL,
    start INTEGER NOT NULL,
    model TEXT NOT NULL,           -- '' where a charge named none
    spent INTEGER NOT NULL,
    PRIMARY KEY (limit_id, start, model)
) STRICT, WITHOUT ROWID;

-- Every path that was ever charged: few, shared by its entries and holds.
CREATE TABLE paths (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    names TEXT NOT NULL,           -- JSON list, the user first
    UNIQUE (project, names)
) STRICT;
CREATE TABLE path_members (
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    path_id INTEGER NOT NULL REFERENCES paths (id),
    PRIMARY KEY (project, user, path_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    path_id INTEGER NOT NULL REFERENCES paths (id),
    model TEXT NOT NULL,
    nanos INTEGER NOT NULL,
    at INTEGER NOT NULL,
    lease_id TEXT NOT NULL,
    unconfirmed INTEGER NOT NULL,
    terms TEXT NOT NULL,           -- JSON: counts and ids only
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    seq INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    path_id INTEGER NOT NULL REFERENCES paths (id),
    at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    nanos INTEGER NOT NULL,
    model TEXT,
    detail TEXT NOT NULL           -- JSON
) STRICT;
CREATE UNIQUE INDEX entries_by_id ON entries (project, id);
CREATE INDEX entries_of_path ON entries (path_id, at);
CREATE TRIGGER entries_are_not_edited BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never edited'); END;
CREATE TRIGGER entries_are_not_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;

CREATE TABLE leases (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

-- Moves whenever a budget changes, so that a process may keep budgets in memory between transactions.
CREATE TABLE changes (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO changes VALUES (1, 0);
