-- What tells one state of a catalog from another, version 2: so that an older copy
-- put in its place, or a write-ahead log of another catalog beside it, is refused
-- and not taken for the truth.

-- One row, changed only by the last transaction before the write-ahead log is
-- written back. As a rule it therefore lies in catalog.db while the log goes on.
CREATE TABLE base (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  store TEXT NOT NULL,    -- uuid of the store, '' where none was given
  epoch INTEGER NOT NULL  -- drawn at random
) STRICT;

-- One row, changed by every transaction, so that it lies in the log if anything
-- does: where its epoch differs from that of base, the two files do not belong
-- together.
CREATE TABLE head (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  -- Counts transactions, from the time of its making in milliseconds on, so that
  -- every catalog begins above those before it. write.lock remembers it.
  generation INTEGER NOT NULL,
  epoch      INTEGER NOT NULL
) STRICT;

INSERT INTO base VALUES (1, '', abs(random() / 2));
INSERT INTO head SELECT 1, CAST(unixepoch('subsec') * 1000 AS INTEGER), epoch FROM base;
