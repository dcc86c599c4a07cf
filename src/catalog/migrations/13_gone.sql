-- What was superseded and is not kept any more, for a while: a hub that asks for it learns that it need not ask again.
CREATE TABLE gone (
    channel INTEGER NOT NULL REFERENCES channel (id),
    hash    TEXT NOT NULL,
    role    TEXT NOT NULL,
    root    BLOB NOT NULL CHECK (length(root) = 32),
    at      INTEGER NOT NULL,                             -- when it went, Unix ms
    PRIMARY KEY (channel, hash, role, root)
) STRICT, WITHOUT ROWID;
CREATE INDEX gone_at ON gone (at);
