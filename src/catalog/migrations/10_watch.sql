-- A folder of this machine that is mirrored into a folder of a channel.
CREATE TABLE watch (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel (id),
    dir     TEXT NOT NULL,                            -- absolute
    target  TEXT NOT NULL,                            -- the channel's folder; '' for the top
    UNIQUE (channel, dir, target)
) STRICT;

-- What of it was mirrored, as it was then, so that it need not be read again to know that it is the same.
CREATE TABLE watch_file (
    watch   INTEGER NOT NULL REFERENCES watch (id) ON DELETE CASCADE,
    parent  TEXT NOT NULL,                            -- names below dir, with slashes between; '' for dir
    name    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    mtime   INTEGER NOT NULL,                         -- ns since 1970
    ctime   INTEGER NOT NULL,                         -- ns since 1970
    inode   INTEGER NOT NULL,
    root    BLOB CHECK (length(root) = 32),           -- NULL for a folder
    PRIMARY KEY (watch, parent, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX watch_file_inode ON watch_file (watch, inode);
