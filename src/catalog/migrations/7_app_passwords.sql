-- What lets a program reach one channel over WebDAV. Only a hash is kept (argon2id, one lane).
CREATE TABLE app_password (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel (id),
    name    TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 16),  -- its first part: how it is found and called
    label   TEXT NOT NULL CHECK (octet_length(label) <= 255),
    salt    BLOB NOT NULL CHECK (length(salt) = 16),
    hash    BLOB NOT NULL CHECK (length(hash) = 32),
    memory  INTEGER NOT NULL CHECK (memory BETWEEN 8 AND 65536),  -- KiB
    passes  INTEGER NOT NULL CHECK (passes BETWEEN 1 AND 16),
    created INTEGER NOT NULL,
    used    INTEGER,                                              -- when it last opened the channel, to a few minutes
    UNIQUE (channel, name)
) STRICT;

-- Dead properties of WebDAV (RFC 4918, section 4): of this clone alone. They belong to the entry and
-- go with it wherever it is moved; hash is '' for the top folder.
CREATE TABLE dav_property (
    channel   INTEGER NOT NULL REFERENCES channel (id),
    hash      TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    xml       BLOB NOT NULL CHECK (length(xml) <= 16384),         -- the whole element
    PRIMARY KEY (channel, hash, namespace, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER attach_dead AFTER UPDATE OF alive ON attach WHEN NEW.alive = 0 AND OLD.alive = 1 BEGIN
    DELETE FROM dav_property WHERE channel = NEW.channel AND hash = NEW.hash;
END;
CREATE TRIGGER attach_gone AFTER DELETE ON attach BEGIN
    DELETE FROM dav_property WHERE channel = OLD.channel AND hash = OLD.hash;
END;
