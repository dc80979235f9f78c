-- What limits, history and repair need, version 7.

-- 1: the name is pinned, and a quota never makes it go. It goes with the name, and
-- stays when that moves.
ALTER TABLE refs ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;

-- When a command last used what the name stands for; NULL where none has since the
-- name was made, so that "updated" tells. Kept to the hour: of two names, the one not
-- used for longer goes first when a quota makes one go.
ALTER TABLE refs ADD COLUMN used INTEGER;

-- Checksums of the blocks of large blobs, to find where one is damaged. No earlier
-- version wrote rows. Whether a blob is whole is for its digest to say.
DROP TABLE block_sums;
CREATE TABLE block_sums (
  object     INTEGER PRIMARY KEY,  -- objects.id
  block_size INTEGER NOT NULL,     -- bytes; the last block may have less
  sums       BLOB NOT NULL         -- CRC-32C of each block, 4 bytes little endian, in order
) STRICT;
