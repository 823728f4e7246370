-- What settled calls say about our estimates. All of it follows from the entries and can be learned again.

CREATE TABLE lessons (
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,            -- what requests are made of: 'text', 'text+tools'
    size INTEGER NOT NULL,         -- how many digits the estimate has
    counted TEXT NOT NULL,         -- how the estimate was made
    percents TEXT NOT NULL,        -- JSON: [[percent of the estimate, calls that reported it], ...]
    covered INTEGER NOT NULL,      -- calls whose hold was enough
    PRIMARY KEY (project, model, kind, size, counted)
) STRICT, WITHOUT ROWID;
CREATE TABLE learned (
    project TEXT PRIMARY KEY,
    through TEXT NOT NULL          -- the last entry that was read for them
) STRICT, WITHOUT ROWID;
