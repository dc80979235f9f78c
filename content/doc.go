// Package content holds the contracts that everything which moves or keeps
// content agrees on, the classes of errors they fail with, readers that verify,
// and Copy, the one way in which a graph of content goes from a source to a
// target. Pull is Copy from a registry to a store, push the reverse, and so on
// for every transport.
//
// # Invariants
//
//   - Content is named by its digest, and no reader of this package reports
//     io.EOF before the bytes it gave out have matched digest and size: on a
//     mismatch it reports ErrCorrupt in place of io.EOF.
//   - Writing is all or nothing: until Writer.Commit has returned nil nothing is
//     visible, and after an error the ingest can be resumed.
//   - A name moves only when everything it reaches is held.
//
// Implementations pass the suites in package contenttest.
package content
