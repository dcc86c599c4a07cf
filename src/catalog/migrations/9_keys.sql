-- How the key of a channel came from its first one, in order; channel.public_pem is the newest.
CREATE TABLE rotation (
    channel INTEGER NOT NULL REFERENCES channel (id),
    number  INTEGER NOT NULL CHECK (number > 0),
    record  BLOB NOT NULL,                            -- the whole signed rotation
    PRIMARY KEY (channel, number)
) STRICT, WITHOUT ROWID;

-- What clones state about each other's places. A notice may come before the place itself.
CREATE TABLE notice (
    channel    INTEGER NOT NULL REFERENCES channel (id),
    site_id    TEXT NOT NULL CHECK (length(site_id) = 86),
    removed    INTEGER NOT NULL CHECK (removed IN (0, 1)),
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    serial     INTEGER NOT NULL,
    record     BLOB NOT NULL,                         -- the whole signed notice
    PRIMARY KEY (channel, site_id)
) STRICT, WITHOUT ROWID;
