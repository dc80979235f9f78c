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
//	sql FILE STATEMENT…     change a SQLite file
//	seed WHAT NAME …        put an image into the script's registry; $SEEDED is its digest
//	fault KIND WHAT …       let requests to it go wrong, until heal
//	regstat                 print what it was asked since the last time
//
// and as programs, so that pipelines find them too: dist, jq, shasum -a256, and
// as-nobody CMD…, which runs CMD without the rights of root. $REGISTRY is
// host:port of an empty registry that is the script's own.
package testscripts
