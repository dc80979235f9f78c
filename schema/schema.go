// Package schema holds the catalog's tables as numbered SQL migrations, embedded
// in the binary. The SQL with its comments is the schema's documentation; this
// package only hands it out, and package db runs it.
//
// # Format
//
// A catalog is an SQLite database whose application_id is ApplicationID and whose
// user_version is the number of its last migration. A migration is never edited
// once it has been released: a change is a new file with the next number.
//
// views.sql holds the views for people. They are no part of the file: several
// bear the name of a table, so they are TEMP views of the connection that
// answers a query, and can change without a migration.
package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// ApplicationID marks a catalog among all SQLite files ("DIST" in ASCII).
const ApplicationID = 0x44495354

// Version is the user_version of a catalog that has every migration.
const Version = 12

//go:embed *.sql
var files embed.FS

// Migration brings a catalog from version Version-1 to Version.
type Migration struct {
	Version int
	Name    string // file name
	SQL     string // several statements, to be run within one transaction
}

// Migrations returns the migrations after version from, in order.
func Migrations(from int) ([]Migration, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	var ms []Migration
	for _, e := range entries {
		number, _, ok := strings.Cut(e.Name(), "_")
		if !ok {
			continue
		}
		v, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", e.Name(), err)
		}
		if v <= from {
			continue
		}
		sql, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		ms = append(ms, Migration{v, e.Name(), string(sql)})
	}
	return ms, nil
}
