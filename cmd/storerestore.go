package cmd

import (
	"fmt"
	"io"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// storeRestoreCmd is `dist store restore`.
type storeRestoreCmd struct {
	From  string `arg:"" name:"file|dir" complete:"file" help:"Backup: a tar file, - for stdin, or a folder."`
	Force bool   `short:"f" help:"Replace the catalog of the store that is there. Its content stays."`
}

// Help is the longer text of `dist store restore --help`.
func (storeRestoreCmd) Help() string {
	return `The store is made where --store or DIST_STORE says, or where a command without it would find one. The folder has to be new or empty, unless --force is given. The backup is read and verified as a whole before the store is touched. What is damaged or missing is listed and marked in the catalog, everything else is restored, and that is exit 4: "dist repair" fetches it again, or pull or put it. Nothing of the backup is changed, be it a folder or a file; one of an older version of dist is brought up to date on the way.

With --force the catalog of a store is replaced by that of a backup of the same store, which nobody may use meanwhile: stop "dist serve" first. What the store lacks or has damaged comes from the backup, if that has content. Nothing of the store is removed: the old catalog goes to the folder catalog.old for 14 days, and a pack that gives way to a better one of the backup stays under a new number, until a garbage collection when the grace is over. What came into the store after the backup stays as well, but the catalog does not know it. "dist check --rebuild" finds it; a garbage collection removes it. Trust goes back, too: a signature with an old serial may be accepted again.

Where the restore is killed, the store is as it was or refused, and the same command again finishes.

Examples:

    $ dist --store /srv/store store restore store.tar
    $ dist store restore /mnt/backup/store
    $ dist store restore --force catalog.tar`
}

type restoreJSON struct {
	Path     string       `json:"path"`
	UUID     string       `json:"uuid"`
	Objects  int64        `json:"objects"`
	Bytes    int64        `json:"bytes"`
	Names    int64        `json:"names"`
	Packs    int64        `json:"packs"`
	Loose    int64        `json:"looseObjects"`
	Unknown  int64        `json:"unknownObjects"`
	Unbytes  int64        `json:"unknownBytes"`
	Replaced bool         `json:"replaced"`
	Damaged  []damageJSON `json:"damaged"`
}

// Run restores and tells what there is now.
func (c *storeRestoreCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	store, err := storeFolder(s.globals.Store, s.getenv)
	if err != nil {
		return err
	}
	start := time.Now()
	s.progress.start()
	r, err := dist.Restore(s.ctx, c.From, s.stdin, client.RestoreOptions{Force: c.Force})
	s.progress.stop()
	if err != nil {
		return err
	}
	if r.Unknown.Objects > 0 {
		s.warn(fmt.Sprintf("%s, %s, are here and not in the restored catalog: run \"dist check --rebuild\" before any garbage collection, which removes them",
			plural(r.Unknown.Objects, "object"), oci.HumanSize(r.Unknown.Bytes)))
	}
	if dir, kept := oldCatalog(s); kept && r.Replaced {
		s.warn("the old catalog is kept for 14 days in " + dir)
	}
	j := restoreJSON{
		Path: store, UUID: r.UUID, Objects: r.Objects, Bytes: r.Bytes, Names: r.Names, Packs: r.Packs, Loose: r.Loose,
		Unknown: r.Unknown.Objects, Unbytes: r.Unknown.Bytes, Replaced: r.Replaced, Damaged: newDamagesJSON(r.Damaged),
	}
	if len(r.Damaged) > 0 && !s.format().structured() {
		err = printList(s.stdout, s.format(), false, damageListing(), each(r.Damaged))
	} else {
		err = s.object(j, j.print)
	}
	if n := len(r.Damaged); err == nil && n > 0 {
		err = content.WithHint(fmt.Errorf("%w: %s", content.ErrCorrupt, plural(int64(n), "object")+" damaged or missing"),
			"all else is restored; `dist repair` fetches it again, or pull or put it")
	}
	if err == nil {
		s.progress.closing(fmt.Sprintf("restored %s, %s, %s in %s", plural(r.Objects, "object"), oci.HumanSize(r.Bytes), plural(r.Names, "name"), humanDuration(time.Since(start))))
	}
	return err
}

func (j restoreJSON) print(w io.Writer) error {
	return printFields(w, [][2]string{
		{"store", j.Path},
		{"uuid", j.UUID},
		{"objects", fmt.Sprintf("%d, %s", j.Objects, oci.HumanSize(j.Bytes))},
		{"names", fmt.Sprint(j.Names)},
		{"from the backup", fmt.Sprintf("%s, %s", plural(j.Packs, "pack"), plural(j.Loose, "file"))},
	})
}
