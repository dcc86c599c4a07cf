-- Where each entry and item stands among the keys of its channel, how it is, and since which change.
CREATE TABLE leaf (
    channel INTEGER NOT NULL REFERENCES channel (id),
    key     BLOB NOT NULL CHECK (length(key) = 32),
    kind    INTEGER NOT NULL CHECK (kind IN (0, 1)),      -- attach, item
    id      TEXT NOT NULL,
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    since   INTEGER NOT NULL,                             -- the edition that brought this digest
    PRIMARY KEY (channel, key)
) STRICT, WITHOUT ROWID;

-- What the leaves add up to: of each first byte of their keys, and (256) of all of them.
CREATE TABLE trie (
    channel INTEGER NOT NULL REFERENCES channel (id),
    prefix  INTEGER NOT NULL CHECK (prefix BETWEEN 0 AND 256),
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    count   INTEGER NOT NULL CHECK (count >= 0),
    edition INTEGER NOT NULL,                             -- counts the changes
    PRIMARY KEY (channel, prefix)
) STRICT, WITHOUT ROWID;

-- How a clone was found when it was last compared with this one.
CREATE TABLE compared (
    channel   INTEGER NOT NULL REFERENCES channel (id),
    site      INTEGER NOT NULL REFERENCES site (id),
    due       INTEGER NOT NULL,                           -- when it is to be compared again
    at        INTEGER,                                    -- when it was
    equal_at  INTEGER,                                    -- when both were equal last
    edition   INTEGER NOT NULL DEFAULT 0,                 -- which edition of ours was equal to theirs
    differing INTEGER NOT NULL DEFAULT 0,                 -- entries that differed, the last time
    by_audit  INTEGER NOT NULL DEFAULT 0 CHECK (by_audit IN (0, 1)),  -- it is brought up by comparing
    unable    INTEGER NOT NULL DEFAULT 0 CHECK (unable IN (0, 1)),    -- it does not know how to compare
    PRIMARY KEY (channel, site)
) STRICT, WITHOUT ROWID;

-- A new replica at an old place has nothing of what the old one had.
CREATE TRIGGER compared_again AFTER UPDATE OF replica ON location WHEN OLD.replica <> NEW.replica BEGIN
    DELETE FROM compared WHERE channel = NEW.channel AND site = NEW.site;
END;

-- Tombstones that every clone knew and this one has forgotten.
CREATE TABLE forgotten (
    channel INTEGER NOT NULL REFERENCES channel (id),
    key     BLOB NOT NULL CHECK (length(key) = 32),
    edition INTEGER NOT NULL,                             -- the one without it
    PRIMARY KEY (channel, key)
) STRICT, WITHOUT ROWID;

-- What lies in a removed folder: the folder is forgotten after it.
CREATE INDEX attach_removed_in ON attach (channel, folder) WHERE alive = 0;
