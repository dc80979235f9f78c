// Package testscripts holds the scripts that say what the command line does,
// and the harness that runs them. It has no code of its own.
//
// Each NAME.txtar is one scenario: VERB_SCENARIO, or CONCEPT_SCENARIO for what
// crosses verbs. A phase opens with a "#" sentence, and the sentences alone read
// as the specification: testscript prints those before a failure. Besides
// testscript's own commands there are
//
//	exits N CMD…            run CMD; its exit code must be N
//	capture VARIABLE        set VARIABLE to what the last command printed
//	mkrand FILE SIZE SEED   write SIZE bytes that are always the same
//	cmpfile A B             two files hold the same bytes
//	flip FILE OFFSET        invert one byte of FILE
//	sql FILE STATEMENT…     change a SQLite file, or print what it is asked for
//	seed WHAT NAME …        put an image into the script's registry; $SEEDED is its digest
//	registry VARIABLE [old] start one more registry, at $VARIABLE; an old one knows no referrers
//	mirror HOST CAPABILITY… let the registry answer for HOST, through a hosts.toml
//	tokens                  let the registry ask for tokens, which anybody gets
//	auth KIND …             let it ask for basic|bearer USER PASSWORD, or identity TOKEN
//	secure                  let another serve the same over TLS, at $SECURE; see ca.pem
//	fault KIND WHAT …       let requests to it go wrong, or wait, until heal
//	oversign NAME KEY TIMES sign what is in the store TIMES times, each time in other words
//	certificate DIR         make server.crt, server.key and their authority ca.crt in DIR
//	regstat                 print what it was asked since the last time
//
// and as programs, so that pipelines find them too: dist, jq, shasum -a256, and
// as-nobody CMD…, which runs CMD without the rights of root, http METHOD URL [FILE],
// which asks a server and prints its answer, and dist-transport-shelf,
// which keeps images in layouts for locators shelf:DIR. $REGISTRY is
// host:port of an empty registry that is the script's own.
//
// TestExamples runs the commands that help and documents show, each document as a session
// in a world of its own. The folder examples has what makes that: world.sh, for all of
// them, before/PAGE.sh for what one needs besides, and in bin programs that stand in for
// those of others.
//
// TestKilledAtEveryPoint and TestKilledAtRandom kill dist where it is worst. In the
// environment of the dist that the tests run, DIST_CRASH=POINT[:N] kills it at the
// N-th time that it reaches a point of docs/ARCHITECTURE.md, section 6, and
// DIST_TRACE=FILE lists the points that it reaches. In the environment of the
// tests, DIST_KILLS=all kills every workload at every point
// that it reaches, DIST_TORTURE=1m is how long the random kills go on, and DIST_SEED=N runs
// the commands and kills of an earlier time again.
//
// With DIST_FREE=N in its environment, dist takes it that the disk has N bytes left.
// [pretends] holds where it does, which the static binary does not.
// [mounts] holds where overlay file systems can be mounted.
//
// The scripts of the folder e2e meet other programs: docker-registry, skopeo, jq
// and crane. They run only under make e2e, which also tests the static binary in
// place of this package's. Their $REGISTRY is a docker-registry behind a proxy,
// which keeps its blobs in the folder $REGISTRY_BLOBS. For them there are, in place
// of seed,
//
//	traffic sent|received MIN MAX   so many bytes of blobs passed since the last time
//	stopat sent|received BYTES      let so many bytes of blobs pass until heal
//	stopped                         wait until they have passed
//	breakat sent|received BYTES     cut the connection that would pass more
//	peaks MIB                       no program in the background has had more memory
//	protected HTPASSWD              start one more, at $PROTECTED, that asks for passwords
//
// Those of e2e/clients let podman, containerd, docker, oras and regctl push to and pull
// from what dist serves. $SHORT is a folder whose path is short enough for sockets, and
// [root] holds for root.
//
// Those of e2e/secured run twice, with a $REGISTRY over TLS that asks for the
// password of reader, sesame: by itself, and through a token server. Its authority's
// certificate is in the script's certs.d. $OPEN is a second registry, which asks for
// nothing, and for it there are
//
//	manytags REPOSITORY FILE N      give a manifest the tags v1 to vN there
//	openstat                        regstat for it
//
// Those of e2e/cosign run four times: $REGISTRY is what dist serves, with referrers, or
// an old docker-registry without, and $OTHER the other one; $FORM of signatures is
// bundle or tag. $RULE is the rule for names that takes what cosign signs in that form,
// and $REASON why the default one does not. [referrers], [old], [bundle] and [tag] tell
// them apart, and [sigstore] holds where skopeo verifies signatures. For them there are
//
//	cosign VERB ARGUMENT…      cosign with the flags that keep it from asking anybody
//	                           but the registry; what it signs has the form $FORM
//	cosign2 VERB ARGUMENT…     an older one, for [exec:cosign2]
//
// Those of e2e/browser look at pages in Debian's chromium, and are skipped where there
// is none:
//
//	browse URL WIDTH light|dark [FILE.png]   print the page as the browser has it, with
//	                                         the colour of its ground; no part of it is
//	                                         wider than WIDTH, no other host is asked
package testscripts
