-- Layers that are kept unpacked, version 12.

-- What a layer changes of those below it, as files in snapshots/<dir>. It is made when an
-- image is unpacked that is to have snapshots, can be made again from the layer, and goes
-- with that; a quota takes those away first that were not used for longest.
CREATE TABLE snapshots (
  id        INTEGER PRIMARY KEY,
  chain     BLOB NOT NULL,          -- chain id of the layer and those below it (image-spec, config.md), a digest
  owner     INTEGER NOT NULL,       -- number of the user that all files belong to, -1: each to whom the image says
  object    INTEGER NOT NULL,       -- objects.id of the layer that it was made of
  dir       TEXT NOT NULL UNIQUE,   -- below snapshots/
  sum       BLOB NOT NULL,          -- digest of the file index in it, which has the sums of the others
  files     INTEGER NOT NULL,       -- and symbolic links
  bytes     INTEGER NOT NULL,       -- that they take on the disk
  mountable INTEGER NOT NULL,       -- 1 when overlay file systems understand it
  created   INTEGER NOT NULL,
  used      INTEGER NOT NULL,       -- to the hour
  damaged   INTEGER NOT NULL        -- 1 when it is, and is kept for who has it mounted alone
) STRICT;
CREATE UNIQUE INDEX snapshots_whole ON snapshots (chain, owner) WHERE damaged = 0;
CREATE INDEX snapshots_of ON snapshots (object);
