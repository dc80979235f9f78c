-- When registries were last asked what is about something, version 3: so that a
-- pull or a sync that finds nothing new need not ask again each time. Only a cache:
-- a rebuild begins without it.
CREATE TABLE looks (
  digest  BLOB NOT NULL,     -- of the root whose graph was asked about, here or not
  locator TEXT NOT NULL,     -- host/repository that was asked; of a sync, "from > to"
  at      INTEGER NOT NULL,  -- when the last answers were here, with what they named
  PRIMARY KEY (digest, locator)
) STRICT, WITHOUT ROWID;
