-- Facts about this catalog as a whole: instance, running, purged_through, created.
CREATE TABLE hub (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- The private key of a channel is not here: it is a file of its own.
CREATE TABLE channel (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    portable_id TEXT NOT NULL UNIQUE CHECK (length(portable_id) = 86),
    guid        TEXT NOT NULL,
    nick        TEXT NOT NULL UNIQUE,
    public_pem  TEXT NOT NULL,
    replica     BLOB NOT NULL CHECK (length(replica) = 8),
    quota       INTEGER CHECK (quota >= 0),           -- bytes; NULL = unlimited
    hlc         INTEGER NOT NULL DEFAULT 0,           -- the bits of a u64: never compared in SQL
    seq         INTEGER NOT NULL DEFAULT 0,           -- number of the last operation made here
    present_seq INTEGER NOT NULL DEFAULT 0,           -- number of the last content that arrived here
    paused      INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    created     INTEGER NOT NULL                      -- Unix ms, as every time here
) STRICT;

CREATE TABLE site (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    site_id      TEXT NOT NULL UNIQUE CHECK (length(site_id) = 86),
    url          TEXT NOT NULL,
    key_pem      TEXT NOT NULL,
    clock_offset INTEGER NOT NULL DEFAULT 0,          -- ms that its clock is ahead of ours
    last_seen    INTEGER
) STRICT;

-- A deleted location stays as a record, so that an older one cannot bring it back.
CREATE TABLE location (
    channel      INTEGER NOT NULL REFERENCES channel (id),
    site         INTEGER NOT NULL REFERENCES site (id),
    replica      BLOB NOT NULL CHECK (length(replica) = 8),
    is_primary   INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    deleted      INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    serial       INTEGER NOT NULL,
    record       BLOB NOT NULL,                       -- the whole signed record, as received
    state        TEXT NOT NULL CHECK (state IN ('pending', 'listed')),
    is_foreign   INTEGER NOT NULL CHECK (is_foreign IN (0, 1)),  -- does not speak this protocol
    acked_seq    INTEGER NOT NULL DEFAULT 0,          -- our operations it has answered for
    reported_seq INTEGER NOT NULL DEFAULT 0,          -- our present reports it has answered for
    attempts     INTEGER NOT NULL DEFAULT 0,
    last_error   TEXT,
    PRIMARY KEY (channel, site)
) STRICT;
CREATE INDEX location_site ON location (site);
CREATE INDEX location_pending ON location (channel, site) WHERE state = 'pending';
