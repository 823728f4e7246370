-- Keys of a server's clients, and how much of what clients say is booked.

CREATE TABLE keys (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    role TEXT NOT NULL,            -- 'admin', 'read', 'meter'
    secret_hash TEXT NOT NULL,     -- SHA-256, hexadecimal
    created_at INTEGER NOT NULL,
    user TEXT,                     -- NULL: everybody below `under`
    under TEXT NOT NULL,           -- '' is the whole project
    expires_at INTEGER,            -- NULL: never
    revoked_at INTEGER,
    note TEXT,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    project TEXT NOT NULL,
    client TEXT NOT NULL,
    user TEXT NOT NULL,
    touched_at INTEGER NOT NULL,
    said TEXT NOT NULL,            -- JSON
    PRIMARY KEY (project, client, user)
) STRICT, WITHOUT ROWID;
