-- Moves, removals and metadata. `folder` is where an entry lies for every look-up; `place_folder` is what its
-- place register says, and differs only where concurrent moves made a cycle. `alive` is derived too: 0 for
-- tombstones, which stay as rows until every clone has them.
ALTER TABLE attach ADD COLUMN op TEXT NOT NULL DEFAULT 'put' CHECK (op IN ('put', 'place', 'meta', 'remove'));
ALTER TABLE attach ADD COLUMN removed_version BLOB;
ALTER TABLE attach ADD COLUMN alive INTEGER NOT NULL DEFAULT 1 CHECK (alive IN (0, 1));
ALTER TABLE attach ADD COLUMN place_folder TEXT NOT NULL DEFAULT '';
ALTER TABLE attach ADD COLUMN was_folder TEXT NOT NULL DEFAULT '';
ALTER TABLE attach ADD COLUMN title TEXT;
ALTER TABLE attach ADD COLUMN photos BLOB NOT NULL DEFAULT x'';   -- the photo rows as they travel, a MessagePack array of bin
UPDATE attach SET place_folder = folder;

DROP INDEX attach_folder;
CREATE INDEX attach_folder ON attach (channel, folder, filename, hash) WHERE alive = 1;
CREATE INDEX attach_displaced ON attach (channel, hash) WHERE folder <> place_folder;
CREATE INDEX attach_removed ON attach (channel, hash) WHERE alive = 0;
