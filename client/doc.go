// Package client is the verbs of dist as a library: what the command line calls,
// and what a program embeds to do the same. A Client is bound to one store folder,
// which it opens when a verb first needs it, and to the registries' settings.
//
// Every verb takes words as a person writes them (names, ids, paths), parses them
// at the edge, and returns data; nothing here prints. Messages for people that
// are not errors go to Options.Warn, progress to Options.Observe.
//
// # Invariants
//
//   - A verb that fails moves no name. Content it has verified stays in the store
//     under a lease, so that the next try moves less.
//   - All names of one call move in one transaction or none does.
//   - A verb that only asks a registry needs no store, and one that only reads a
//     store writes nothing but leases.
package client
