-- Serials by name and key, version 6: two keys sign the same name each with serials
-- of its own. No earlier version wrote rows.
DROP TABLE trust_state;

-- The highest serial that each key has signed a manifest for each name with, as far
-- as that was accepted here: an older manifest with a good signature is no longer one.
CREATE TABLE trust_state (
  name   TEXT NOT NULL,     -- host/repository:tag, or a bundle's name
  kind   TEXT NOT NULL,     -- ref or bundle
  key_id TEXT NOT NULL,
  serial INTEGER NOT NULL,
  digest BLOB NOT NULL,     -- of the manifest with that serial
  at     INTEGER NOT NULL,
  PRIMARY KEY (name, kind, key_id)
) STRICT, WITHOUT ROWID;
