-- Which repository has which digest, version 4: so that a server which gives
-- repositories to different people lets nobody reach the blobs of another. Names
-- and edges tell the rest. A rebuild begins without these rows.

-- Repositories, registry/path, written once each.
CREATE TABLE repositories (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE repository_objects (
  object     INTEGER NOT NULL,  -- objects.id
  repository INTEGER NOT NULL,  -- repositories.id
  -- 1 pushed, when something that it refers to was not there; 2 mirrored;
  -- 3 excluded, and never included here; 4 excluded after it had been included;
  -- 5 pushed, when all that it refers to was there. The set is open. Rows of 3
  -- and 4 are kept for referrers alone: a 4 remembers that the object has been
  -- included somewhere, so that it does not go with its subject.
  how        INTEGER NOT NULL,
  at         INTEGER NOT NULL,  -- when it came to be so
  PRIMARY KEY (object, repository)
) STRICT, WITHOUT ROWID;

-- The subject of a manifest, without a look at all its layers.
CREATE INDEX edges_to_subjects ON edges (parent, child) WHERE role = 4;
