-- Entries under Hubzilla's column names; what is local there (id, aid, uid, content paths) is not kept.
-- folder has no foreign key: an entry may arrive before its folder does.
CREATE TABLE attach (
    channel         INTEGER NOT NULL REFERENCES channel (id),
    hash            TEXT NOT NULL CHECK (length(hash) BETWEEN 1 AND 64),
    creator         TEXT NOT NULL,
    filename        TEXT NOT NULL CHECK (octet_length(filename) BETWEEN 1 AND 255),
    filetype        TEXT NOT NULL,
    filesize        INTEGER NOT NULL CHECK (filesize >= 0),
    revision        INTEGER NOT NULL,
    folder          TEXT NOT NULL,                    -- the parent's hash; '' at the top
    flags           INTEGER NOT NULL,
    is_dir          INTEGER NOT NULL CHECK (is_dir IN (0, 1)),
    is_photo        INTEGER NOT NULL CHECK (is_photo IN (0, 1)),
    created         TEXT NOT NULL,                    -- YYYY-MM-DD HH:MM:SS in UTC, as it travels
    edited          TEXT NOT NULL,
    allow_cid       TEXT NOT NULL,
    allow_gid       TEXT NOT NULL,
    deny_cid        TEXT NOT NULL,
    deny_gid        TEXT NOT NULL,
    extra           BLOB NOT NULL,                    -- unknown fields, passed on as they came
    mtime           INTEGER,
    executable      INTEGER CHECK (executable IN (0, 1)),
    place_version   BLOB NOT NULL,
    meta_version    BLOB NOT NULL,
    content_version BLOB,                             -- NULL for folders
    root            BLOB CHECK (length(root) = 32),   -- NULL for folders
    op_id           BLOB NOT NULL CHECK (length(op_id) = 16),
    seq             INTEGER,                          -- set while the last edit was made here: the outbox
    PRIMARY KEY (channel, hash)
) STRICT;
CREATE INDEX attach_folder ON attach (channel, folder, filename, hash);
CREATE INDEX attach_seq ON attach (channel, seq) WHERE seq IS NOT NULL;

-- One content of one entry in one role. AUTOINCREMENT: the queue refers to these ids, so that none
-- may ever come to mean another content.
CREATE TABLE data (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    channel       INTEGER NOT NULL REFERENCES channel (id),
    hash          TEXT NOT NULL CHECK (length(hash) BETWEEN 1 AND 64),
    role          TEXT NOT NULL CHECK (role IN ('file', 'photo-4', 'photo-7')),
    root          BLOB NOT NULL CHECK (length(root) = 32),
    size          INTEGER NOT NULL CHECK (size >= 0),
    mime          TEXT NOT NULL,
    source        TEXT NOT NULL CHECK (source IN ('fetch', 'backup')),
    digests       BLOB CHECK (length(digests) % 32 = 0),        -- inline chunk digests
    state         TEXT NOT NULL CHECK (state IN ('wanted', 'present', 'superseded', 'failed')),
    held          INTEGER NOT NULL CHECK (held IN (0, 1)),      -- the bytes are in storage
    site          INTEGER REFERENCES site (id),                 -- who announced it: whom to ask
    op_id         BLOB NOT NULL CHECK (length(op_id) = 16),
    announced_at  INTEGER NOT NULL,
    superseded_at INTEGER,
    present_seq   INTEGER,
    error         TEXT,
    local         INTEGER NOT NULL CHECK (local IN (0, 1)),     -- made here, not fetched
    UNIQUE (channel, hash, role, root),
    CHECK (state <> 'wanted' OR site IS NOT NULL),
    CHECK (state <> 'present' OR held = 1),
    CHECK (state <> 'superseded' OR superseded_at IS NOT NULL)
) STRICT;
CREATE INDEX data_wanted ON data (channel, site, size, id) WHERE state = 'wanted';
CREATE INDEX data_failed ON data (channel, id) WHERE state = 'failed';
CREATE INDEX data_superseded ON data (superseded_at, id) WHERE state = 'superseded';
CREATE INDEX data_root ON data (root, held);
CREATE INDEX data_present_seq ON data (channel, present_seq) WHERE present_seq IS NOT NULL;

-- Files and bytes of a channel in each state. 'present' is what the quota calls used, 'wanted' what
-- it calls reserved. Kept by the triggers below and by nothing else.
CREATE TABLE tally (
    channel INTEGER NOT NULL REFERENCES channel (id),
    state   TEXT NOT NULL,
    files   INTEGER NOT NULL DEFAULT 0,
    bytes   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER channel_tallied AFTER INSERT ON channel BEGIN
    INSERT INTO tally (channel, state)
    VALUES (NEW.id, 'wanted'), (NEW.id, 'present'), (NEW.id, 'superseded'), (NEW.id, 'failed');
END;
CREATE TRIGGER data_inserted AFTER INSERT ON data BEGIN
    UPDATE tally SET files = files + 1, bytes = bytes + NEW.size
    WHERE channel = NEW.channel AND state = NEW.state;
END;
CREATE TRIGGER data_changed AFTER UPDATE OF state, size ON data
WHEN OLD.state <> NEW.state OR OLD.size <> NEW.size BEGIN
    UPDATE tally SET files = files - 1, bytes = bytes - OLD.size
    WHERE channel = OLD.channel AND state = OLD.state;
    UPDATE tally SET files = files + 1, bytes = bytes + NEW.size
    WHERE channel = NEW.channel AND state = NEW.state;
END;
CREATE TRIGGER data_deleted AFTER DELETE ON data BEGIN
    UPDATE tally SET files = files - 1, bytes = bytes - OLD.size
    WHERE channel = OLD.channel AND state = OLD.state;
END;
