-- Which clone has reported which content: whom to ask beside the one that announced it.
CREATE TABLE present_at (
    channel INTEGER NOT NULL REFERENCES channel (id),
    site    INTEGER NOT NULL REFERENCES site (id),
    root    BLOB NOT NULL CHECK (length(root) = 32),
    at      INTEGER NOT NULL,
    PRIMARY KEY (channel, root, site)
) STRICT, WITHOUT ROWID;
