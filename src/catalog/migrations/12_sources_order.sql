-- In which order what is wanted comes: the small before the large, in classes of which each reaches
-- sixteen times as far as the one before, and within a class what was edited last first.
ALTER TABLE data ADD COLUMN edited INTEGER NOT NULL DEFAULT 0;   -- Unix ms; not after it was announced
UPDATE data SET edited = min(announced_at, coalesce(
    (SELECT coalesce(a.mtime, unixepoch(a.edited) * 1000) FROM attach a
     WHERE a.channel = data.channel AND a.hash = data.hash), announced_at));
-- 2^48 places for each class: far more than there are ms since 1970.
ALTER TABLE data ADD COLUMN turn INTEGER GENERATED ALWAYS AS (
    CASE WHEN size <= 65536 THEN 0
         WHEN size <= 1048576 THEN 1
         WHEN size <= 16777216 THEN 2
         WHEN size <= 268435456 THEN 3
         WHEN size <= 4294967296 THEN 4
         ELSE 5 END * 281474976710656
    + 281474976710655 - max(0, min(edited, 281474976710655))) VIRTUAL;
DROP INDEX data_wanted;
CREATE INDEX data_wanted ON data (channel, turn, id) WHERE state = 'wanted';

-- Who announced a content earlier can still be asked for it.
CREATE TRIGGER data_announced_again AFTER UPDATE OF site ON data WHEN OLD.site <> NEW.site BEGIN
    INSERT OR IGNORE INTO present_at (channel, site, root, at)
    VALUES (NEW.channel, OLD.site, NEW.root, OLD.announced_at);
END;
-- Who has what nobody here names any more does not matter.
CREATE TRIGGER data_unnamed AFTER DELETE ON data
WHEN NOT EXISTS (SELECT 1 FROM data WHERE channel = OLD.channel AND root = OLD.root) BEGIN
    DELETE FROM present_at WHERE channel = OLD.channel AND root = OLD.root;
END;
-- A replica that begins anew has nothing of what the one before it had.
CREATE TRIGGER location_begun_anew AFTER UPDATE OF replica ON location
WHEN OLD.replica <> NEW.replica BEGIN
    DELETE FROM present_at WHERE channel = NEW.channel AND site = NEW.site;
END;
