-- What the texts of a channel's entries and items take beyond 1 KiB each, and dead properties in full. Kept by the triggers
-- below and by nothing else. How many entries and items there may be is another limit.
CREATE TABLE channel_text (
    channel INTEGER PRIMARY KEY REFERENCES channel (id),
    bytes   INTEGER NOT NULL DEFAULT 0
) STRICT;

ALTER TABLE attach ADD COLUMN text INTEGER GENERATED ALWAYS AS (
    max(0, length(CAST(creator AS BLOB)) + length(CAST(filetype AS BLOB)) + length(CAST(allow_cid AS BLOB)) + length(CAST(allow_gid AS BLOB))
         + length(CAST(deny_cid AS BLOB)) + length(CAST(deny_gid AS BLOB)) + length(CAST(extra AS BLOB)) + length(CAST(photos AS BLOB))
         + coalesce(length(CAST(title AS BLOB)), 0) - 1024)) VIRTUAL;
ALTER TABLE item ADD COLUMN text INTEGER GENERATED ALWAYS AS (
    max(0, coalesce(length(CAST(row_bytes AS BLOB)), 0) - 1024)) VIRTUAL;
ALTER TABLE dav_property ADD COLUMN text INTEGER GENERATED ALWAYS AS (
    length(CAST(namespace AS BLOB)) + length(CAST(name AS BLOB)) + length(CAST(xml AS BLOB))) VIRTUAL;

INSERT INTO channel_text (channel, bytes)
SELECT id, coalesce((SELECT sum(text) FROM attach WHERE channel = c.id), 0)
         + coalesce((SELECT sum(text) FROM item WHERE channel = c.id), 0)
         + coalesce((SELECT sum(text) FROM dav_property WHERE channel = c.id), 0)
FROM channel c;

CREATE TRIGGER channel_text_begun AFTER INSERT ON channel BEGIN
    INSERT INTO channel_text (channel) VALUES (NEW.id);
END;
CREATE TRIGGER attach_text_new AFTER INSERT ON attach WHEN NEW.text > 0 BEGIN
    UPDATE channel_text SET bytes = bytes + NEW.text WHERE channel = NEW.channel;
END;
CREATE TRIGGER attach_text_changed AFTER UPDATE ON attach WHEN NEW.text <> OLD.text BEGIN
    UPDATE channel_text SET bytes = bytes + NEW.text - OLD.text WHERE channel = NEW.channel;
END;
CREATE TRIGGER attach_text_gone AFTER DELETE ON attach WHEN OLD.text > 0 BEGIN
    UPDATE channel_text SET bytes = bytes - OLD.text WHERE channel = OLD.channel;
END;
CREATE TRIGGER item_text_new AFTER INSERT ON item WHEN NEW.text > 0 BEGIN
    UPDATE channel_text SET bytes = bytes + NEW.text WHERE channel = NEW.channel;
END;
CREATE TRIGGER item_text_changed AFTER UPDATE ON item WHEN NEW.text <> OLD.text BEGIN
    UPDATE channel_text SET bytes = bytes + NEW.text - OLD.text WHERE channel = NEW.channel;
END;
CREATE TRIGGER item_text_gone AFTER DELETE ON item WHEN OLD.text > 0 BEGIN
    UPDATE channel_text SET bytes = bytes - OLD.text WHERE channel = OLD.channel;
END;
CREATE TRIGGER property_text_new AFTER INSERT ON dav_property BEGIN
    UPDATE channel_text SET bytes = bytes + NEW.text WHERE channel = NEW.channel;
END;
CREATE TRIGGER property_text_changed AFTER UPDATE ON dav_property WHEN NEW.text <> OLD.text BEGIN
    UPDATE channel_text SET bytes = bytes + NEW.text - OLD.text WHERE channel = NEW.channel;
END;
CREATE TRIGGER property_text_gone AFTER DELETE ON dav_property BEGIN
    UPDATE channel_text SET bytes = bytes - OLD.text WHERE channel = OLD.channel;
END;
