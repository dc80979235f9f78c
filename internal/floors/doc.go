// Package floors holds no code, only the tests of the module's order. Every
// package stands on a floor, imports point down, and each third-party module is
// imported by the packages that own it and by no other. The table in the test is
// the list of the packages; one that is not in it fails the test, as does a row
// whose package is gone. And nobody uses an HTTP transport that all share.
package floors
