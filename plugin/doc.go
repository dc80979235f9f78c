// Package plugin runs programs that carry images to and from places that dist does
// not know, and helps to write such programs. For a locator NAME:PLACE the program
// dist-transport-NAME is looked up on PATH. Find makes a content.Transport of it;
// Plugin is the other side, for programs in Go. The program dist-transport-dir of this
// module is an example.
//
// # Trust
//
// The program runs with the rights of whoever runs dist. What it gives is not
// believed: digest and size of all content are checked by the reader, lines and
// numbers are bounded, and a program that dies, stands still or answers what it
// should not ends in an error. Credentials are its own affair; none are given to it.
// NAME consists of a to z, 0 to 9 and "-"; a program that PATH finds only by way of a
// relative folder is not run.
//
// # Protocol, version 1
//
// dist writes requests to the program's standard input, and the program writes
// answers to its standard output. Standard error is for people: each line is shown as
// a warning. In the environment DIST_OFFLINE is set where no network may be used.
//
// A request and an answer are one line each, of words that one space separates and
// one line feed ends, of at most 65,536 bytes in all. In a word, the space, the %, and
// every byte that is no printable character of ASCII are written as % and two
// hexadecimal digits. The empty word is written -, and a word that is - is written
// %2D. Numbers are decimal. Digests are sha256 or sha512.
//
// An answer begins with ok, or it is
//
//	error CLASS MESSAGE [HINT]
//
// where CLASS is invalid, not-found, corrupt, denied, unavailable, offline, conflict,
// no-space or unsupported; any other means unavailable. The hint says what a person
// might do.
// Before an answer that takes long the program writes the line wait, any number of
// times: dist gives up when it hears nothing for 30 seconds. Words at the end of an
// answer beyond those told here are ignored.
//
//	hello 1 read|write PLACE
//	    ok 1 [WORD…]
//
// is the first request, and says what all others are about. The program names what it
// can do besides: parallel when several processes may write to one place at once
// (several that read are started in any case), and referrers.
//
// Of a program that reads are asked
//
//	resolve
//	    ok DIGEST SIZE MEDIATYPE NAME
//	fetch DIGEST SIZE OFFSET
//	    ok LENGTH, then LENGTH bytes
//	referrers DIGEST
//	    ok LENGTH, then LENGTH bytes
//
// resolve is for the image that PLACE names, with the full reference that it is known
// by, - for none. not-found is the class when there is none, and invalid when there
// are several and PLACE does not say which one. fetch is for the bytes of a blob or a
// manifest from OFFSET on; SIZE is - when it is not known. A program that cannot
// start at OFFSET answers unsupported, and is asked for all of it. One that fails in the
// middle exits. referrers is asked only of a program that has said the word; it
// answers with an image index of the manifests about DIGEST (image-spec), each with
// its artifactType and annotations, of at most 4 MiB.
//
// Of a program that writes are asked
//
//	exists DIGEST SIZE MEDIATYPE
//	    ok yes|no
//	push DIGEST SIZE MEDIATYPE
//	    ok, when it has that already, or go
//	    SIZE bytes from dist, then
//	    ok
//	finish DIGEST SIZE MEDIATYPE NAME
//	    ok
//
// Until the first push nothing is to be made that was not there: dist opens a place to
// write also when it only plans, and asks then what exists.
//
// push is all or nothing: the program checks digest and size, and a blob that the end
// of the input cuts short is thrown away. After go it reads all of the bytes, or exits.
// Manifests come after what they list. finish lets PLACE name the manifest DIGEST,
// under the name in PLACE or, if there is none, under NAME, which may be -. Until then
// PLACE names what it named before. The class is not-found when something that the
// manifest reaches was never pushed.
//
// The input ends when the work is done or given up, and the program exits. One that
// does not within five seconds is killed.
//
// # What it does not do
//
// There are no sessions across processes: a process knows of another only by what is
// in the place. Programs are started as they are needed and end with the source or
// target that they serve. Processes that a program starts itself are not looked for.
package plugin
