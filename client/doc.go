// Package client is the verbs of dist as a library: what the command line calls,
// and what a program embeds to do the same. A Client is bound to one store folder,
// which it opens when a verb first needs it, and to the registries' settings.
//
// Copy and Sync move content past the store, Pull and Push into it and out of it, all
// of them from and to any place that a locator names (see ParseLocator). PlanCopy and
// the like say what they would do, by the same walk.
//
// Every verb takes words as a person writes them (names, ids, paths), parses them
// at the edge, and returns data; nothing here prints. Messages for people that
// are not errors go to Options.Warn, progress to Options.Observe.
//
// # Invariants
//
//   - A verb that fails moves no name in the store. Content it has verified stays
//     there under a lease, so that the next try moves less.
//   - All names of one call that are in the store move in one transaction or none
//     does. Tags at registries move one by one, after all content has arrived.
//   - A verb that only asks a registry needs no store. One that only reads a store
//     writes no content and moves no name: at most leases, notes (of what registries
//     have, of the use of names, of what is damaged, of what is in layers), the index of
//     search, and good
//     bytes in the place of damaged ones, which it may fetch for that.
package client
