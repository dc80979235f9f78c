-- The views that `query` offers, one for each thing a person asks about.
--
-- They are TEMP views of the connection that answers, since several bear the
-- name of a table: there `SELECT … FROM edges` means the view. The tables stay
-- within reach as main.edges. Digests are text (sha256:<hex>), times are text in
-- UTC (2006-01-02 15:04:05), sizes are bytes.

-- Everything held, and what is known of things that are not.
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
CREATE TEMP VIEW images AS
SELECT r.name, c.digest, c.media_type, c.size, r.seq,
       datetime(r.updated / 1000, 'unixepoch') AS updated
FROM main.refs r JOIN temp.content c ON c.id = r.object;

-- Every change of a name, oldest first by seq.
CREATE TEMP VIEW history AS
SELECT l.seq, l.name,
       CASE substr(l.old, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(l.old, 2))) AS old,
       CASE substr(l.new, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(l.new, 2))) AS new,
       datetime(l.at / 1000, 'unixepoch') AS at, l.why
FROM main.ref_log l;

-- Who refers to whom.
CREATE TEMP VIEW edges AS
SELECT p.digest AS parent, c.digest AS child,
       CASE e.role WHEN 1 THEN 'config' WHEN 2 THEN 'layer' WHEN 3 THEN 'manifest' WHEN 4 THEN 'subject' ELSE 'other' END AS role
FROM main.edges e JOIN temp.content p ON p.id = e.parent JOIN temp.content c ON c.id = e.child;

-- Where an object can be had from.
CREATE TEMP VIEW sources AS
SELECT c.digest, s.locator,
       datetime(s.first_seen / 1000, 'unixepoch') AS first_seen,
       datetime(s.last_ok / 1000, 'unixepoch') AS last_ok
FROM main.sources s JOIN temp.content c ON c.id = s.object;

-- Which repository has which object, other than by names and what refers to it.
CREATE TEMP VIEW repositories AS
SELECT p.name, c.digest,
       CASE r.how WHEN 1 THEN 'pushed' WHEN 2 THEN 'mirrored' WHEN 3 THEN 'excluded' WHEN 4 THEN 'excluded' WHEN 5 THEN 'pushed' ELSE 'other' END AS how,
       datetime(r.at / 1000, 'unixepoch') AS at
FROM main.repository_objects r JOIN main.repositories p ON p.id = r.repository JOIN temp.content c ON c.id = r.object;

-- Signatures and how the last check of each ended.
CREATE TEMP VIEW signatures AS
SELECT CASE substr(s.subject_digest, 1, 1) WHEN x'01' THEN 'sha256:' ELSE 'sha512:' END || lower(hex(substr(s.subject_digest, 2))) AS subject,
       s.kind, s.claimed_identity, s.key_hint, s.source,
       datetime(s.first_seen / 1000, 'unixepoch') AS first_seen,
       v.key_id, v.outcome, datetime(v.at / 1000, 'unixepoch') AS verified
FROM main.signatures s LEFT JOIN main.verifications v ON v.signature_id = s.id
  AND v.at = (SELECT max(w.at) FROM main.verifications w WHERE w.signature_id = s.id);

-- Ingests under way or left behind.
CREATE TEMP VIEW ingests AS
SELECT i.key, i."offset", i.total,
       CASE substr(i.expected, 1, 1) WHEN x'01' THEN 'sha256:' WHEN x'02' THEN 'sha512:' END || lower(hex(substr(i.expected, 2))) AS expected,
       i.source,
       datetime(i.started / 1000, 'unixepoch') AS started,
       datetime(i.updated / 1000, 'unixepoch') AS updated, i.pid
FROM main.ingests i;

-- Leases and how many objects each holds.
CREATE TEMP VIEW leases AS
SELECT l.id,
       CASE l.kind WHEN 1 THEN 'command' WHEN 2 THEN 'put' WHEN 3 THEN 'user' ELSE 'other' END AS kind,
       l.note,
       datetime(l.created / 1000, 'unixepoch') AS created,
       datetime(l.expires / 1000, 'unixepoch') AS expires,
       (SELECT count(*) FROM main.lease_objects lo WHERE lo.lease = l.num) AS objects
FROM main.leases l;

-- Pack files.
CREATE TEMP VIEW packs AS
SELECT p.id,
       CASE p.state WHEN 1 THEN 'open' WHEN 2 THEN 'sealed' WHEN 3 THEN 'dead' ELSE 'other' END AS state,
       p."end" AS bytes, p.live, p.dead,
       datetime(p.created / 1000, 'unixepoch') AS created
FROM main.packs p;

-- Receiving sites.
CREATE TEMP VIEW sites AS
SELECT s.name, (SELECT count(*) FROM main.site_objects o WHERE o.site = s.id) AS objects,
       datetime(s.updated / 1000, 'unixepoch') AS updated
FROM main.sites s;
