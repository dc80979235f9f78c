// Package cmd is the command line of dist: one file per verb, each of them
// flags, one call of package client, and output.
//
// # What holds for every verb
//
//   - stdout carries data only; messages, progress and errors go to stderr.
//   - An error is one line, "dist: VERB SUBJECT: what went wrong", and at most
//     one "dist: hint: …" below it; delete lists the holders in between, a line
//     each. With --format json it is one JSON object.
//   - The exit code comes from the one table in exit.go.
//   - Ctrl-C and SIGTERM end what is under way and keep its state (exit 130); a
//     second one kills.
//   - Whoever read stdout may go away: exit 141, and nothing is said.
//   - Nothing in here knows how content is stored or moved.
//
// The reference in docs/cli is written from the same structs that parse the
// arguments (docs_test.go), and that test fails when the two differ.
package cmd
