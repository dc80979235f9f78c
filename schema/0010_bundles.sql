-- Receiving sites, and bundles that came and went, version 10. No earlier version wrote
-- rows of the two tables that go.
DROP TABLE site_objects;
DROP TABLE sites;

-- What is somewhere else: in a site, as its receipt says, or with whoever has imported a
-- bundle. By digest, since it need not be here; such digests keep nothing.
CREATE TABLE inventories (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Of the receipt, or of the sorted digests in their raw form; two with the same are
  -- one. NULL while it is being written, in several transactions, or given up: then
  -- nothing uses it, and what is left of one that was broken off goes after a day.
  digest  BLOB UNIQUE,
  objects INTEGER NOT NULL,  -- how many it has, once it is whole
  names   INTEGER NOT NULL,  -- likewise
  created INTEGER NOT NULL   -- when it was begun; 0 once it is given up
) STRICT;

-- The digests of an inventory in blocks.
CREATE TABLE inventory_blocks (
  id        INTEGER PRIMARY KEY,
  inventory INTEGER NOT NULL,  -- inventories.id
  -- Sorted, one after the other, in the raw form; all of a block have one algorithm. The
  -- blocks of an inventory follow each other by id.
  digests   BLOB NOT NULL
) STRICT;
CREATE INDEX inventory_blocks_of ON inventory_blocks (inventory, id);

-- The names that a site said it has.
CREATE TABLE inventory_names (
  inventory INTEGER NOT NULL,  -- inventories.id
  name      TEXT NOT NULL,
  digest    BLOB NOT NULL,     -- of what it stands for there
  PRIMARY KEY (inventory, name)
) STRICT, WITHOUT ROWID;

-- Receiving sites.
CREATE TABLE sites (
  id        INTEGER PRIMARY KEY,
  name      TEXT NOT NULL UNIQUE,
  spki_der  BLOB,              -- the key that signs its receipts; NULL: nobody has to
  note      TEXT NOT NULL,
  added     INTEGER NOT NULL,
  store     TEXT NOT NULL,     -- uuid of the store there; '' before the first receipt
  receipt   BLOB,              -- digest of the last receipt; NULL before the first
  serial    INTEGER NOT NULL,  -- of that; 0 before the first
  made      INTEGER,           -- when that was made; NULL before the first
  updated   INTEGER,           -- when it came here; NULL before the first
  inventory INTEGER            -- inventories.id; NULL before the first, and after a rebuild
) STRICT;

-- Bundles that this store was exported to, or that came into it. A rebuild begins with
-- the last one that was sent of each name.
CREATE TABLE bundles (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  direction INTEGER NOT NULL,  -- 1 sent, 2 received. The set is open
  name      TEXT NOT NULL,     -- '' for none
  serial    INTEGER NOT NULL,  -- 0 for none
  digest    BLOB NOT NULL,     -- of its index.json
  site      TEXT NOT NULL,     -- the site that it was made for, as its sender calls it; '' for none
  base      BLOB,              -- index.json of the bundle that it is on top of; NULL for none
  created   INTEGER,           -- when it says it was made; NULL where it does not
  at        INTEGER NOT NULL,  -- when it was sent, or had come
  images    INTEGER NOT NULL,  -- how many it lists
  blobs     INTEGER NOT NULL,  -- how many it carries
  size      INTEGER NOT NULL,  -- of these
  -- inventories.id: all that its images reach, which a receiver has after it; NULL for
  -- one that was received, after a rebuild, and of all but the newest.
  inventory INTEGER
) STRICT;
CREATE INDEX bundles_by_digest ON bundles (digest, direction);
CREATE INDEX bundles_by_name ON bundles (direction, name, serial);
CREATE INDEX bundles_by_inventory ON bundles (inventory) WHERE inventory IS NOT NULL;
