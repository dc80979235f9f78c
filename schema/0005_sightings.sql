-- What registries said of their tags, version 5: so that a server that stands for
-- them (`serve --mirror`) need not ask again each time, in whatever process. Only a
-- cache: a rebuild begins without it.
CREATE TABLE sightings (
  name   TEXT PRIMARY KEY NOT NULL,  -- host/repository:tag
  digest BLOB NOT NULL,              -- what it stood for, here or not
  media  TEXT NOT NULL,              -- media type of that
  size   INTEGER NOT NULL,
  at     INTEGER NOT NULL            -- when the registry said so
) STRICT, WITHOUT ROWID;
CREATE INDEX sightings_by_digest ON sightings (digest, name);
