package cmd

import (
	"fmt"
	"io"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// storeBackupCmd is `dist store backup`.
type storeBackupCmd struct {
	To          string `arg:"" name:"file|dir" complete:"file" help:"Tar file to write, - for stdout; or a folder: one that is there, or a name that ends with a slash."`
	CatalogOnly bool   `help:"Write the catalog without the content: names, their history, and what is known of each object. It can be restored only over the store that it is of."`
}

// Help is the longer text of `dist store backup --help`.
func (storeBackupCmd) Help() string {
	return `The backup has the store as it was at one moment; others may use it meanwhile. A garbage collection waits until the backup is written. All content is verified as it is copied. What is damaged is listed and marked in the backup, which has everything else: exit 4.

The tar is a store when it is unpacked. A file appears when it is whole. A folder is a store, too; the next backup to it copies only what it lacks, and removes what the store has given up since. A folder that somebody has written to as a store is refused.

A folder has to be on a file system with locks that the processes of this machine see, and with memory that they share: a local one, or most network shares. A tar file needs nothing of the kind, and is what to write to any other share. Where it goes to a network share, as where it goes to stdout, the catalog is copied first to the folder for temporary files (TMPDIR).

Left out are unfinished ingests, leases of running commands, copies that "dist path" made, limits, and locks. A backup has the identity of its store: do not go on with both, since they cannot be joined again.

Examples:

    $ dist store backup store.tar
    $ dist store backup - | zstd | ssh host "cat >store.tar.zst"
    $ dist store backup /mnt/backup/store/
    $ dist store backup --catalog-only catalog.tar`
}

type backupJSON struct {
	Objects int64        `json:"objects"`
	Names   int64        `json:"names"`
	Packs   int64        `json:"packs"`
	Loose   int64        `json:"looseObjects"`
	Bytes   int64        `json:"writtenBytes"`
	Kept    int64        `json:"keptBytes"`
	Catalog int64        `json:"catalogBytes"`
	Damaged []damageJSON `json:"damaged"`
}

func newBackupJSON(r client.BackupReport) backupJSON {
	return backupJSON{
		Objects: r.Objects, Names: r.Names, Packs: r.Packs, Loose: r.Loose, Bytes: r.Bytes, Kept: r.Kept, Catalog: r.Catalog,
		Damaged: newDamagesJSON(r.Damaged),
	}
}

// Run writes the backup and tells what it has.
func (c *storeBackupCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	start := time.Now()
	s.progress.start()
	report, err := dist.Backup(s.ctx, c.To, s.stdout, client.BackupOptions{CatalogOnly: c.CatalogOnly})
	s.progress.stop()
	if err != nil {
		return err
	}
	if c.To == "-" {
		for _, d := range report.Damaged {
			s.warn(fmt.Sprintf("%s in %s is damaged: %s", d.Digest, d.Place, d.Problem))
		}
	} else if err := printBackup(s, report); err != nil {
		return err
	}
	if n := len(report.Damaged); n > 0 {
		return content.WithHint(fmt.Errorf("%w: %s", content.ErrCorrupt, plural(int64(n), "damaged object")),
			"all else is in the backup; `dist repair` fetches it again, or pull or put it, then back up again")
	}
	s.progress.closing(fmt.Sprintf("backed up %s, %s, %s in %s", plural(report.Objects, "object"), plural(report.Names, "name"),
		oci.HumanSize(report.Bytes+report.Catalog), humanDuration(time.Since(start))))
	return nil
}

// printBackup prints the report, or the damaged objects as a table.
func printBackup(s *session, r client.BackupReport) error {
	j := newBackupJSON(r)
	if len(r.Damaged) > 0 && !s.format().structured() {
		return printList(s.stdout, s.format(), false, damageListing(), each(r.Damaged))
	}
	return s.object(j, j.print)
}

func (j backupJSON) print(w io.Writer) error {
	return printFields(w, [][2]string{
		{"objects", fmt.Sprint(j.Objects)},
		{"names", fmt.Sprint(j.Names)},
		{"written", fmt.Sprintf("%s, %s", plural(j.Packs, "pack"), plural(j.Loose, "file"))},
		{"bytes", fmt.Sprintf("%s, %s there before, catalog %s", oci.HumanSize(j.Bytes), oci.HumanSize(j.Kept), oci.HumanSize(j.Catalog))},
	})
}
