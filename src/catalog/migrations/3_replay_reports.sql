-- Packets that changed something, and what was answered.
CREATE TABLE replay (
    packet_id BLOB NOT NULL PRIMARY KEY CHECK (length(packet_id) = 16),
    expires   INTEGER NOT NULL,
    answer    BLOB NOT NULL
) STRICT;
CREATE INDEX replay_expires ON replay (expires);

-- What a clone said about an operation of ours that was not plainly stored.
CREATE TABLE op_report (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    site    INTEGER NOT NULL REFERENCES site (id),
    channel INTEGER NOT NULL REFERENCES channel (id),
    op_id   BLOB NOT NULL CHECK (length(op_id) = 16),
    status  TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX op_report_channel ON op_report (channel, id);
