-- When registries were last asked what is about something, version 3: so that a
-- pull that finds nothing new need not ask again each time. Only a cache: a
-- rebuild begins without it.
CREATE TABLE looks (
  object  INTEGER NOT NULL,  -- objects.id of the root whose graph was asked about
  locator TEXT NOT NULL,     -- host/repository that was asked
  at      INTEGER NOT NULL,  -- when the last answers were here, with what they named
  PRIMARY KEY (object, locator)
) STRICT, WITHOUT ROWID;
