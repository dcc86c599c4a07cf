-- Which entries say that they are the profile photo or the cover, drawn from `attach.photos`: of several the
-- greatest (chosen, hash) is the current one.
CREATE TABLE photo_use (
    channel INTEGER NOT NULL REFERENCES channel (id),
    hash    TEXT NOT NULL,
    usage   INTEGER NOT NULL,
    chosen  INTEGER NOT NULL,
    PRIMARY KEY (channel, hash, usage)
) STRICT, WITHOUT ROWID;
CREATE INDEX photo_use_chosen ON photo_use (channel, usage, chosen DESC, hash DESC);
