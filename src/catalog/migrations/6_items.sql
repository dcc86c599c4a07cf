-- Posts, comments and likes that sit on entries. `row_bytes` is the row as it travels, in the form of the home that
-- url, nick and uid name; NULL once it was removed.
CREATE TABLE item (
    channel   INTEGER NOT NULL REFERENCES channel (id),
    mid       TEXT NOT NULL CHECK (octet_length(mid) BETWEEN 1 AND 255),
    uuid      TEXT NOT NULL,
    resource  TEXT NOT NULL CHECK (length(resource) BETWEEN 1 AND 64),
    author    TEXT NOT NULL,                    -- portable id; '' where the author has none
    row_bytes BLOB,
    url       TEXT NOT NULL,
    nick      TEXT NOT NULL,
    uid       INTEGER,
    version   BLOB NOT NULL,
    seq       INTEGER,                          -- set while the last edit was made here: the outbox
    PRIMARY KEY (channel, mid)
) STRICT;
CREATE INDEX item_resource ON item (channel, resource, mid);
CREATE INDEX item_uuid ON item (uuid, channel);
CREATE INDEX item_seq ON item (channel, resource, seq) WHERE seq IS NOT NULL;

-- The channel's number in the hub software beside us, as its items say it.
ALTER TABLE channel ADD COLUMN uid INTEGER;

-- What arrived from other clones and the hook has not been told. Filled by the triggers below, while the hub's fact
-- 'hook' is there; those on attach and item act inside the transaction of a received packet only, which sets it to 2.
-- what: 1 put, 2 place, 4 meta, 8 remove, 16 the bytes have come.
CREATE TABLE news (
    no      INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel (id),
    kind    TEXT NOT NULL CHECK (kind IN ('entry', 'item')),
    key     TEXT NOT NULL,
    what    INTEGER NOT NULL,
    times   INTEGER NOT NULL DEFAULT 1,         -- so that what changes while the hook is called is told again
    UNIQUE (channel, kind, key)
) STRICT;

CREATE TRIGGER attach_inserted AFTER INSERT ON attach
WHEN EXISTS (SELECT 1 FROM hub WHERE key = 'hook' AND value = 2) BEGIN
    INSERT INTO news (channel, kind, key, what)
    VALUES (NEW.channel, 'entry', NEW.hash, iif(NEW.alive, 1, 8))
    ON CONFLICT DO UPDATE SET what = what | excluded.what, times = times + 1;
END;
CREATE TRIGGER attach_changed AFTER UPDATE ON attach
WHEN EXISTS (SELECT 1 FROM hub WHERE key = 'hook' AND value = 2)
    AND (OLD.place_version IS NOT NEW.place_version OR OLD.meta_version IS NOT NEW.meta_version
        OR OLD.content_version IS NOT NEW.content_version OR OLD.alive IS NOT NEW.alive) BEGIN
    INSERT INTO news (channel, kind, key, what)
    VALUES (NEW.channel, 'entry', NEW.hash,
        iif(OLD.content_version IS NOT NEW.content_version OR NEW.alive > OLD.alive, 1, 0)
        | iif(OLD.place_version IS NOT NEW.place_version, 2, 0)
        | iif(OLD.meta_version IS NOT NEW.meta_version, 4, 0)
        | iif(NEW.alive < OLD.alive, 8, 0))
    ON CONFLICT DO UPDATE SET what = what | excluded.what, times = times + 1;
END;
CREATE TRIGGER data_arrived AFTER UPDATE OF state ON data
WHEN NEW.state = 'present' AND OLD.state IN ('wanted', 'failed')
    AND EXISTS (SELECT 1 FROM hub WHERE key = 'hook') BEGIN
    INSERT INTO news (channel, kind, key, what) VALUES (NEW.channel, 'entry', NEW.hash, 16)
    ON CONFLICT DO UPDATE SET what = what | excluded.what, times = times + 1;
END;
CREATE TRIGGER item_inserted AFTER INSERT ON item
WHEN EXISTS (SELECT 1 FROM hub WHERE key = 'hook' AND value = 2) BEGIN
    INSERT INTO news (channel, kind, key, what)
    VALUES (NEW.channel, 'item', NEW.mid, iif(NEW.row_bytes IS NULL, 8, 1))
    ON CONFLICT DO UPDATE SET what = what | excluded.what, times = times + 1;
END;
CREATE TRIGGER item_changed AFTER UPDATE ON item
WHEN EXISTS (SELECT 1 FROM hub WHERE key = 'hook' AND value = 2) AND OLD.version IS NOT NEW.version BEGIN
    INSERT INTO news (channel, kind, key, what)
    VALUES (NEW.channel, 'item', NEW.mid, iif(NEW.row_bytes IS NULL, 8, 1))
    ON CONFLICT DO UPDATE SET what = what | excluded.what, times = times + 1;
END;

-- What was said about an entry goes with the last that is known of it.
CREATE TRIGGER attach_deleted AFTER DELETE ON attach BEGIN
    DELETE FROM item WHERE channel = OLD.channel AND resource = OLD.hash;
END;
