-- The views that `query` offers, one for each thing a person asks about.
--
-- They are TEMP views of the connection that answers, since several bear the
-- name of a table: there `SELECT … FROM edges` means the view. The tables stay
-- within reach as main.edges, but for `query`, which lets nobody read more than
-- views. Digests are text (sha256:<hex>), times are text in UTC (2006-01-02 15:04:05),
-- sizes are bytes.
--
-- The form is that of package schema: statements stand apart by empty lines, the
-- comment above each says what a row is, then what each column is, in their order.
-- A view names tables as main.… and other views as temp.….

-- Everything held, and what is known of things that are not.
--   digest      of the content
--   size        of the content
--   media_type  NULL when nobody has said
--   place       absent, pack, loose, damaged, or doomed: given up, and as good as absent
--   stored      what it takes on disk, 0 when it is absent
--   pack        packs.id, NULL when it is in no pack
--   committed   when its bytes last became durable
--   used        when it was last written, again perhaps; reading it does not count
--   id          its number in this catalog
CREATE TEMP VIEW content AS
SELECT CASE substr(o.digest, 1, 1) WHEN x'01' THEN 'sha256:' ELSE 'sha512:' END || lower(hex(substr(o.digest, 2))) AS digest,
       o.size,
       m.name AS media_type,
       CASE o.loc WHEN 0 THEN 'absent' WHEN 1 THEN 'pack' WHEN 2 THEN 'loose' WHEN 3 THEN 'damaged' WHEN 4 THEN 'doomed' ELSE 'other' END AS place,
       o.stored,
       o.pack,
       datetime(o.committed / 1000, 'unixepoch') AS committed,
       datetime(o.used / 1000, 'unixepoch') AS used,
       o.id
FROM main.objects o LEFT JOIN main.media_types m ON m.id = o.media;

-- Names and what they stand for.
--   name        host/repository:tag, or host/repository@digest
--   digest      of what the name stands for
--   media_type  of that
--   size        of that alone, without what it refers to
--   seq         history.seq of the change that set the name
--   updated     when that was
--   pinned      1 when a quota never makes the name go, else 0
--   used        when a command last used what the name stands for, to the hour; NULL when none has
CREATE TEMP VIEW images AS
SELECT r.name, c.digest, c.media_type, c.size, r.seq,
       datetime(r.updated / 1000, 'unixepoch') AS updated,
       r.pinned,
       datetime(r.used / 1000, 'unixepoch') AS used
FROM main.refs r JOIN temp.content c ON c.id = r.object;

-- Every change of a name, oldest first by seq.
--   seq   number of the change
--   name  which name changed
--   old   digest that it stood for, NULL when it was new
--   new   digest that it stands for since, NULL when it was removed
--   at    when it changed
--   why   by which command: pull, tag, remove, delete …
CREATE TEMP VIEW history AS
SELECT l.seq, l.name,
       CASE substr(l.old, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(l.old, 2))) AS old,
       CASE substr(l.new, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(l.new, 2))) AS new,
       datetime(l.at / 1000, 'unixepoch') AS at, l.why
FROM main.ref_log l;

-- Who refers to whom.
--   parent  digest of the manifest or index that refers
--   child   digest of what it refers to
--   role    of the child: config, layer, manifest, or subject
CREATE TEMP VIEW edges AS
SELECT p.digest AS parent, c.digest AS child,
       CASE e.role WHEN 1 THEN 'config' WHEN 2 THEN 'layer' WHEN 3 THEN 'manifest' WHEN 4 THEN 'subject' ELSE 'other' END AS role
FROM main.edges e JOIN temp.content p ON p.id = e.parent JOIN temp.content c ON c.id = e.child;

-- Where an object can be had from.
--   digest      of the object
--   locator     host/repository
--   first_seen  when it first came from there, or was sent there
--   last_ok     when its bytes last came from there
CREATE TEMP VIEW sources AS
SELECT c.digest, s.locator,
       datetime(s.first_seen / 1000, 'unixepoch') AS first_seen,
       datetime(s.last_ok / 1000, 'unixepoch') AS last_ok
FROM main.sources s JOIN temp.content c ON c.id = s.object;

-- Which repository has which object, other than by names and what refers to it.
--   name    host/repository
--   digest  of the object
--   how     pushed, mirrored, or excluded
--   at      when it came to be so
CREATE TEMP VIEW repositories AS
SELECT p.name, c.digest,
       CASE r.how WHEN 1 THEN 'pushed' WHEN 2 THEN 'mirrored' WHEN 3 THEN 'excluded' WHEN 4 THEN 'excluded' WHEN 5 THEN 'pushed' ELSE 'other' END AS how,
       datetime(r.at / 1000, 'unixepoch') AS at
FROM main.repository_objects r JOIN main.repositories p ON p.id = r.repository JOIN temp.content c ON c.id = r.object;

-- Signatures and how the last check of each ended.
--   subject           digest of what is signed, which need not be here
--   kind              simplesigning or bundle
--   claimed_identity  what the signature says it is for, unverified
--   key_hint          what it says of its key, unverified
--   source            where it came from
--   first_seen        when it was first seen here
--   key_id            of the key it was last checked with, NULL when it was not
--   outcome           of that check
--   verified          when that was
--   manifest          digest of the manifest that carries it, NULL when none does
CREATE TEMP VIEW signatures AS
SELECT CASE substr(s.subject_digest, 1, 1) WHEN x'01' THEN 'sha256:' ELSE 'sha512:' END || lower(hex(substr(s.subject_digest, 2))) AS subject,
       s.kind, s.claimed_identity, s.key_hint, s.source,
       datetime(s.first_seen / 1000, 'unixepoch') AS first_seen,
       v.key_id, v.outcome, datetime(v.at / 1000, 'unixepoch') AS verified,
       CASE substr(s.manifest_digest, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(s.manifest_digest, 2))) AS manifest
FROM main.signatures s LEFT JOIN main.verifications v ON v.signature_id = s.id
  AND v.at = (SELECT max(w.at) FROM main.verifications w WHERE w.signature_id = s.id);

-- Ingests under way or left behind.
--   key         of the ingest
--   offset      bytes that were durable at the last checkpoint
--   total       bytes of the content, NULL when not known
--   expected    its digest, NULL when not known
--   source      where it comes from
--   started     when it began
--   updated     when it was at the offset
--   pid         process of its last owner
--   media_type  that it is to have, empty when not known
CREATE TEMP VIEW ingests AS
SELECT i.key, i."offset", i.total,
       CASE substr(i.expected, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(i.expected, 2))) AS expected,
       i.source,
       datetime(i.started / 1000, 'unixepoch') AS started,
       datetime(i.updated / 1000, 'unixepoch') AS updated, i.pid,
       i.media AS media_type
FROM main.ingests i;

-- Leases and how many objects each holds.
--   id       of the lease
--   kind     command, put (left behind by put or ingest), or user
--   note     what it is for
--   created  when it was made
--   expires  when it ends, if its owner is gone by then
--   objects  how many it holds
CREATE TEMP VIEW leases AS
SELECT l.id,
       CASE l.kind WHEN 1 THEN 'command' WHEN 2 THEN 'put' WHEN 3 THEN 'user' ELSE 'other' END AS kind,
       l.note,
       datetime(l.created / 1000, 'unixepoch') AS created,
       datetime(l.expires / 1000, 'unixepoch') AS expires,
       (SELECT count(*) FROM main.lease_objects lo WHERE lo.lease = l.num) AS objects
FROM main.leases l;

-- Pack files.
--   id       packs/<id>.pack
--   state    open, sealed, or dead
--   bytes    that are durable and never change
--   live     of these, those of objects
--   dead     of these, those that nothing points to any more
--   created  when it was made
CREATE TEMP VIEW packs AS
SELECT p.id,
       CASE p.state WHEN 1 THEN 'open' WHEN 2 THEN 'sealed' WHEN 3 THEN 'dead' ELSE 'other' END AS state,
       p."end" AS bytes, p.live, p.dead,
       datetime(p.created / 1000, 'unixepoch') AS created
FROM main.packs p;

-- Receiving sites.
--   name     of the site
--   objects  how many it said it holds, NULL where that is not known
--   updated  when its last receipt came here, NULL before the first
--   names    how many names it said it has, NULL where that is not known
--   made     when that receipt was made
--   serial   of that receipt, 0 before the first
--   receipt  digest of that receipt
--   store    id of the store there, empty before the first receipt
--   note     what somebody said of it
--   signed   1 when its receipts have to be signed, else 0
CREATE TEMP VIEW sites AS
SELECT s.name, i.objects,
       datetime(s.updated / 1000, 'unixepoch') AS updated,
       i.names,
       datetime(s.made / 1000, 'unixepoch') AS made,
       s.serial,
       CASE substr(s.receipt, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(s.receipt, 2))) AS receipt,
       s.store, s.note, s.spki_der IS NOT NULL AS signed
FROM main.sites s LEFT JOIN main.inventories i ON i.id = s.inventory;

-- Bundles that were sent from here or have come here, oldest first by id.
--   direction  sent, or received
--   name       of the bundle, empty for none
--   serial     of the bundle, 0 for none
--   digest     of its index.json
--   site       which it was made for, as its sender calls it, empty for none
--   base       index.json of the bundle that it is on top of, NULL for none
--   created    when it says it was made, NULL where it does not
--   at         when it was sent, or had come
--   images     how many it lists
--   blobs      how many it carries
--   size       of these
--   objects    how many its images reach, NULL where that is not remembered
--   id         its number in this catalog
CREATE TEMP VIEW bundles AS
SELECT CASE b.direction WHEN 1 THEN 'sent' WHEN 2 THEN 'received' ELSE 'other' END AS direction,
       b.name, b.serial,
       CASE substr(b.digest, 1, 1) WHEN x'01' THEN 'sha256:' ELSE 'sha512:' END || lower(hex(substr(b.digest, 2))) AS digest,
       b.site,
       CASE substr(b.base, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(b.base, 2))) AS base,
       datetime(b.created / 1000, 'unixepoch') AS created,
       datetime(b.at / 1000, 'unixepoch') AS at,
       b.images, b.blobs, b.size, i.objects, b.id
FROM main.bundles b LEFT JOIN main.inventories i ON i.id = b.inventory;

-- Layers that are kept unpacked.
--   chain      chain id of the layer and those below it
--   layer      digest of the layer that it was made of
--   owner      number of the user that all files belong to, NULL when each belongs to whom the image says
--   files      how many it has, with symbolic links
--   bytes      that they take on the disk
--   mountable  1 when overlay file systems understand it, else 0
--   damaged    1 when it is, and is kept only while a lease holds its layer
--   folder     where it is, below the store's
--   created    when it was made
--   used       when an image was last made of it, to the hour
CREATE TEMP VIEW snapshots AS
SELECT CASE substr(s.chain, 1, 1) WHEN x'01' THEN 'sha256:' ELSE 'sha512:' END || lower(hex(substr(s.chain, 2))) AS chain,
       c.digest AS layer,
       iif(s.owner < 0, NULL, s.owner) AS owner,
       s.files, s.bytes, s.mountable, s.damaged,
       'snapshots/' || s.dir AS folder,
       datetime(s.created / 1000, 'unixepoch') AS created,
       datetime(s.used / 1000, 'unixepoch') AS used
FROM main.snapshots s JOIN temp.content c ON c.id = s.object;
