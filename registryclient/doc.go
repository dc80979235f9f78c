// Package registryclient speaks the client side of the OCI distribution
// specification: it resolves names, fetches and pushes manifests and blobs,
// deletes manifests, moves, deletes and lists tags, mounts blobs across repositories,
// lists referrers, and checks and keeps credentials.
//
// # Invariants
//
//   - No byte of a blob or manifest is reported as whole before it has matched
//     its digest (FetchFrom excepted, whose doc says so). Parts of different
//     answers are joined only when the second one is a 206 whose Content-Range
//     begins where the first one ended; an answer with the whole blob is read
//     from its start and what was given out already is skipped.
//   - A credential or token goes to the scheme, host and port it was looked up
//     for, and to a token server that passes allowRealm; to nobody else, wherever
//     a redirect, an upload's Location or a page's Link may point.
//   - Everything that is buffered has a cap: manifests 4 MiB, tag pages 16 MiB,
//     tokens and error bodies 64 KiB, and all large blobs of a Client together
//     share one window of Options.Window segments.
//   - Every wait ends: an answer or a body that stands still is given up after
//     Options.StallTimeout, a registry that has received a body whole may think
//     about it for five minutes, tries are counted, Retry-After is honoured up to a
//     minute, and every call ends with its context. Options.Notice is told of a wait
//     that has lasted for 5 s.
//
// # Which host answers
//
// A registry's name is looked up in the hosts.toml folders. Where none has it, the
// longest prefix of the repository's name in registries.conf decides, which may
// lead a part of a registry to another host and to other names there, or block
// it. Mirrors are asked first, in the order of the file, then the registry itself;
// pushes go to one place. docker.io is dialled as registry-1.docker.io, and a name
// without a host is always its: no list of registries is searched.
//
// Loopback names are spoken to in plain HTTP unless a file or a certificate folder
// says otherwise, everything else in TLS. What registries.conf calls insecure is
// spoken to in TLS with any certificate, and in plain HTTP where it speaks no TLS;
// credentials are not sent in that case, but to this machine.
//
// A mirror that does not answer, or answers badly, is passed over for the life of
// the Client: asked again only when all others have failed. Until it has first
// answered, one request at a time finds out whether it lives. That it lacks
// something is no fault; that it denies a repository counts for that repository.
//
// Proxies are those of HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, with the exceptions
// of NO_PROXY, unless hosts.toml names one. This machine is never reached through
// one.
//
// # Referrers
//
// They are listed by the API for it or, where a registry has none, from the index
// at the tag that the specification names for that. Who pushes a manifest with
// a subject to such a registry has to keep that index: it is read, added to and
// put, on condition that it has not changed where the registry has ETags, and
// read again until it stands still. Nobody's entry is ever left out. Only a writer
// that stands still itself, between its reading and its putting, for longer than
// others watch can undo what they did; within one Client, all wait for each other.
//
// # What it does not do
//
// It keeps no content on disk, so a crash in the middle of a transfer leaves nothing
// behind but an upload session that the registry forgets by itself; a push that ends
// early cancels its own. Login and Logout alone write: an auth file, all at once,
// beside which a crash may leave FILE.new. Budgets that are shared have files of their
// own (package budgets). Retrying a blob whose bytes were corrupt is the caller's: the
// bytes have gone to it already. What a registry warns of in Warning headers goes to
// Options.Warn and changes nothing.
package registryclient
