package db

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
)

// identity is what tells one state of a catalog from another (tables base and head).
type identity struct {
	store       string // '' where none was given
	generation  int64
	epoch, base int64 // of the last transaction and of table base: the same where all belongs together
}

// identity reads it, in the transaction that runs.
func (c *conn) identity() (id identity, err error) {
	err = c.row("SELECT b.store, h.generation, h.epoch, b.epoch FROM base b, head h", &id.store, &id.generation, &id.epoch, &id.base)
	if errors.Is(err, sql.ErrNoRows) {
		err = errDamaged(err)
	}
	return id, err
}

// judge refuses a catalog that is not the one that was written last. seen is what
// the witness said before the identity was read.
func (d *DB) judge(id identity, seen int64) error {
	switch {
	case d.store != "" && id.store != "" && d.store != id.store:
		return errStranger("it is that of another store (%s)", id.store)
	case id.epoch != id.base:
		return errStranger("%s and %s-wal do not belong together", catalogName, catalogName)
	case id.generation < seen:
		if lost := seen - id.generation; lost < manyChanges {
			return errStranger("it is older than the store: an earlier copy, or its last %d changes are lost", lost)
		}
		return errStranger("it is older than the store: a copy of the one before it")
	}
	return nil
}

func errStranger(format string, args ...any) error {
	return content.WithHint(fmt.Errorf("%w: the catalog (%s) cannot be trusted: %s", content.ErrCorrupt, catalogName, fmt.Sprintf(format, args...)),
		HintRebuild)
}

// manyChanges is more than are lost of one and the same catalog: another one begins
// its count anew, at the time of its making.
const manyChanges = 1 << 20

// HintRebuild is what helps when the catalog is lost or damaged.
const HintRebuild = "`dist check --rebuild` makes the catalog anew from the content"

// The witness stands in write.lock behind the process id of the last holder: the
// generation that was committed last. It is written after COMMIT and never
// synced, so that it may fall behind but never run ahead.
const (
	holderLength  = 20
	witnessLength = 20
	// maxGeneration is far above any, and leaves room above it: more is damage.
	maxGeneration = 1 << 62
)

// Witness is the generation that was committed last in the store's folder dir, 0
// where that is not known.
func Witness(fsx fsys.FS, dir string) int64 {
	f, err := fsx.OpenFile(filepath.Join(dir, lockName), os.O_RDONLY, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	return readWitness(f)
}

// readWitness reads what was committed last, as far as that is known; 0 when it is
// not.
func readWitness(lock io.ReaderAt) int64 {
	var b [witnessLength]byte
	n, _ := lock.ReadAt(b[:], holderLength)
	g, err := strconv.ParseInt(strings.TrimSpace(string(b[:n])), 10, 64)
	if n < witnessLength || b[witnessLength-1] != '\n' || err != nil || g > maxGeneration {
		return 0
	}
	return g
}

// testify records the generation that has just been committed. A disk that
// refuses it has refused more than that.
func (d *DB) testify(generation int64) {
	d.lock.file.WriteAt(fmt.Appendf(nil, "%-19d\n", generation), holderLength)
}

// advance counts a transaction that changes something, as its last statement, and
// refuses it where the catalog is not the one that was written last.
func (d *DB) advance(c *conn) (generation int64, err error) {
	var id identity
	err = c.row(`UPDATE head SET generation = generation + 1
		RETURNING generation, epoch, (SELECT epoch FROM base), (SELECT store FROM base)`, &generation, &id.epoch, &id.base, &id.store)
	if err != nil {
		return 0, err
	}
	id.generation = generation - 1 // as it was found
	return generation, d.judge(id, d.witness())
}
