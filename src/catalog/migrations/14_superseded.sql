-- What each channel keeps of what was replaced or removed, the oldest first.
CREATE INDEX data_kept ON data (channel, superseded_at, id) WHERE state = 'superseded';
