-- The catalog of a store, version 1.
--
-- Conventions that hold in every table:
--   * All times are integers, milliseconds since 1970-01-01 00:00 UTC.
--   * All digests are blobs: one byte for the algorithm (1 sha256, 2 sha512),
--     then the hash. 33 or 65 bytes.
--   * Sizes and offsets are bytes.
--   * A column that may be NULL says what NULL means.
--   * Numbers that stand for words (states, places, roles) are never renumbered;
--     readers take a number they do not know for "something newer".
--   * There are no foreign keys and no triggers: the package that writes keeps
--     the tables consistent, within one transaction.

-- Pack files, packs/<id>.pack. Ids are never used again, so that a file name
-- stands for one pack for ever.
CREATE TABLE packs (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  state   INTEGER NOT NULL,  -- 1 open, 2 sealed, 3 dead (no row points into it)
  "end"   INTEGER NOT NULL,  -- bytes below it are durable and never change
  live    INTEGER NOT NULL,  -- stored bytes that rows of objects point to
  dead    INTEGER NOT NULL,  -- stored bytes that no row points to any more
  created INTEGER NOT NULL
) STRICT;

-- Media types, written once each.
CREATE TABLE media_types (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- Every blob that is held and every one that something held refers to. A row
-- that says present means durable bytes; bytes without a row are garbage.
CREATE TABLE objects (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  digest    BLOB NOT NULL UNIQUE,
  size      INTEGER NOT NULL,
  -- Where the bytes are: 0 absent (known only because a parent names it),
  -- 1 pack, 2 loose (blobs/<alg>/<hex>), 3 damaged (found not to match; the
  -- columns below say where), 4 doomed (given up, its bytes go at the next gc;
  -- absent to readers). The set is open.
  loc       INTEGER NOT NULL,
  pack      INTEGER,           -- packs.id; NULL when not in a pack
  off       INTEGER,           -- of the record in the pack; NULL when not in a pack
  stored    INTEGER NOT NULL,  -- payload bytes on disk; 0 when absent
  codec     INTEGER NOT NULL,  -- of the payload: 0 raw, 1 zstd
  kind      INTEGER NOT NULL,  -- record kind, as in the pack: 1 blob; 0 when not in a pack
  media     INTEGER,           -- media_types.id; NULL when nobody has said
  committed INTEGER,           -- when its bytes last became durable; NULL when never
  used      INTEGER            -- when it was last read or written; NULL when never
) STRICT;

-- Who refers to whom, parsed from manifests and indexes as they are written.
-- A child that appears twice in one role of one parent has one row.
CREATE TABLE edges (
  parent INTEGER NOT NULL,  -- objects.id
  child  INTEGER NOT NULL,  -- objects.id
  -- 1 config, 2 layer, 3 manifest, 4 subject. A subject keeps its referrers, so
  -- what is held by edges is the child in 1 to 3, the parent in 4.
  role   INTEGER NOT NULL,
  PRIMARY KEY (parent, child, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX edges_by_child ON edges (child, role, parent);

-- Local names: host/repository:tag or host/repository@digest, in full.
CREATE TABLE refs (
  name    TEXT PRIMARY KEY NOT NULL,
  object  INTEGER NOT NULL,  -- objects.id
  seq     INTEGER NOT NULL,  -- of the change that set it
  updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refs_by_object ON refs (object);

-- Every change of any name. seq comes from one counter (meta 'ref_seq'), which
-- only grows.
CREATE TABLE ref_log (
  seq   INTEGER PRIMARY KEY,
  name  TEXT NOT NULL,
  old   BLOB,              -- digest; NULL when the name was new
  new   BLOB,              -- digest; NULL when the name was removed
  at    INTEGER NOT NULL,
  why   TEXT NOT NULL,     -- pull, tag, remove, delete …
  -- 1 when garbage collection keeps what the name pointed to for a time, so that
  -- the change can be undone; 0 for eviction, delete and history cut short.
  keeps INTEGER NOT NULL
) STRICT;
CREATE INDEX ref_log_by_name ON ref_log (name, seq);

-- Leases keep objects that have no name yet. A lease counts while it is not
-- expired, or while the process that made it lives (it keeps leases/<id>
-- locked). One created in the future (a clock that went back) counts.
CREATE TABLE leases (
  num     INTEGER PRIMARY KEY,
  id      TEXT NOT NULL UNIQUE,
  -- 1 of a running command, 2 left behind by put or ingest (ends when a name
  -- reaches the object), 3 made by `lease add`.
  kind    INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  note    TEXT NOT NULL
) STRICT;

CREATE TABLE lease_objects (
  lease  INTEGER NOT NULL,  -- leases.num
  object INTEGER NOT NULL,  -- objects.id
  PRIMARY KEY (lease, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_objects_by_object ON lease_objects (object);

-- Content on its way in; its bytes are in a file of ingest/ that its key names.
CREATE TABLE ingests (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  key        TEXT NOT NULL UNIQUE,
  lease      TEXT NOT NULL,     -- leases.id, '' for none
  expected   BLOB,              -- digest; NULL when not known
  total      INTEGER,           -- NULL when not known
  "offset"   INTEGER NOT NULL,  -- bytes that were durable at the last checkpoint
  hash_state BLOB,              -- of the hash at offset; NULL when there is none
  boot_id    TEXT NOT NULL,     -- hash_state is trusted only within the same boot
  source     TEXT NOT NULL,     -- locator, '' for none
  media      TEXT NOT NULL,     -- media type the content is to have, '' when not known
  started    INTEGER NOT NULL,
  updated    INTEGER NOT NULL,
  pid        INTEGER NOT NULL   -- of the last owner
) STRICT;

-- Where an object can be had from: provenance, repair, federation.
CREATE TABLE sources (
  object     INTEGER NOT NULL,  -- objects.id
  locator    TEXT NOT NULL,     -- host/repository
  first_seen INTEGER NOT NULL,
  last_ok    INTEGER NOT NULL,  -- when its bytes last came from there
  PRIMARY KEY (object, locator)
) STRICT, WITHOUT ROWID;

-- What writers newly root, link or revive while a garbage collection is marking
-- (meta 'marking' is there). The mark goes on from these before anything is
-- doomed. Empty otherwise.
CREATE TABLE changes (
  gen    INTEGER PRIMARY KEY AUTOINCREMENT,
  object INTEGER NOT NULL  -- objects.id
) STRICT;

-- Hashes of the blocks of large blobs, to find where one is damaged.
CREATE TABLE block_sums (
  object     INTEGER PRIMARY KEY,  -- objects.id
  block_size INTEGER NOT NULL,
  sums       BLOB NOT NULL         -- 32 bytes (sha256) for each block, in order
) STRICT;

-- Settings and counters, by key.
CREATE TABLE meta (
  k TEXT PRIMARY KEY NOT NULL,
  v ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Public keys that are known here. What they may sign for is the policy's.
CREATE TABLE trust_keys (
  key_id     TEXT PRIMARY KEY NOT NULL,  -- sha256:<hex of the SPKI DER>
  alg        TEXT NOT NULL,
  spki_der   BLOB NOT NULL,
  label      TEXT UNIQUE,                -- NULL for a key without one
  not_before INTEGER,                    -- NULL: no limit
  not_after  INTEGER,                    -- NULL: no limit
  revoked_at INTEGER,                    -- NULL: not revoked
  added_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Signatures, by the digest of what they are about, which need not be held: a
-- signature may arrive first. Rows are weak: they go with their subject.
CREATE TABLE signatures (
  id               INTEGER PRIMARY KEY,
  subject_digest   BLOB NOT NULL,
  kind             TEXT NOT NULL,     -- simplesigning or bundle
  predicate_type   TEXT NOT NULL,     -- '' for simplesigning
  blob_digest      BLOB NOT NULL,     -- of the payload or bundle
  manifest_digest  BLOB,              -- of the manifest that carries it; NULL when none does
  sig              BLOB NOT NULL,
  annotations      TEXT NOT NULL,     -- JSON object
  key_hint         TEXT NOT NULL,
  claimed_identity TEXT NOT NULL,     -- what the signature says it is for, unverified
  source           TEXT NOT NULL,
  first_seen       INTEGER NOT NULL,
  UNIQUE (subject_digest, kind, blob_digest, sig)
) STRICT;

-- Outcomes of verifying, a cache: asked again when the policy or key changes.
CREATE TABLE verifications (
  signature_id  INTEGER NOT NULL,  -- signatures.id
  key_id        TEXT NOT NULL,
  policy_digest BLOB NOT NULL,
  outcome       TEXT NOT NULL,
  at            INTEGER NOT NULL,
  PRIMARY KEY (signature_id, key_id, policy_digest)
) STRICT, WITHOUT ROWID;

-- The highest serial seen for each name, against rollback.
CREATE TABLE trust_state (
  name   TEXT PRIMARY KEY NOT NULL,
  kind   TEXT NOT NULL,     -- ref or bundle
  serial INTEGER NOT NULL,
  digest BLOB NOT NULL,
  key_id TEXT NOT NULL,
  at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Receiving sites and what each said it holds. By digest, since what a site
-- holds may not be held here.
CREATE TABLE sites (
  id       INTEGER PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  receipt  BLOB,              -- digest of the last receipt; NULL before the first
  updated  INTEGER NOT NULL
) STRICT;

CREATE TABLE site_objects (
  site   INTEGER NOT NULL,  -- sites.id
  digest BLOB NOT NULL,
  PRIMARY KEY (site, digest)
) STRICT, WITHOUT ROWID;
