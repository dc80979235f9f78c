package cmd

import (
	"fmt"
	"io"
	"slices"

	"dist.example/client"
	"dist.example/db"
	"dist.example/oci"
)

// storeCmd is `dist store`, what concerns the store as a whole.
type storeCmd struct {
	Info    storeInfoCmd    `cmd:"" help:"Tell where the store is and what it holds."`
	Backup  storeBackupCmd  `cmd:"" help:"Write a backup of the store, to a file or a folder, while others use it."`
	Restore storeRestoreCmd `cmd:"" help:"Make a store from a backup, or replace the catalog of one that is there."`
	Compact storeCompactCmd `cmd:"" help:"Give back the space that the store does not need."`
	Set     storeSetCmd     `cmd:"" help:"Set what the store is to do: its quota and what garbage collection keeps."`
}

// storeInfoCmd is `dist store info`.
type storeInfoCmd struct {
	Registries []string `sep:"none" placeholder:"HOST[/REPOSITORY]" complete:"host" help:"Tell who is asked for a registry or one of its repositories, and by which file, in place of what the store holds. ${repeat} No store is needed."`
}

// Help is the longer text of `dist store info --help`.
func (storeInfoCmd) Help() string {
	return `With --registries it tells, for each registry: which file decided (a hosts.toml, or registries.conf), then the hosts in the order of asking, mirrors first: what each may be asked for (pull is content by digest, resolve is what a tag stands for, push), how it is reached, and which file has credentials for it. Secrets are not shown. Nothing is sent to a registry; a credential helper may be asked. A name without a host is docker.io's: no list of registries is ever searched.

Examples:

    $ dist store info
    $ dist store info --format json
    $ dist store info --registries docker.io
    $ dist store info --registries docker.io/library/redis --registries localhost:5000`
}

type storeInfoJSON struct {
	Path      string    `json:"path"`
	UUID      string    `json:"uuid"`
	ReadOnly  bool      `json:"readOnly"`
	Schema    int       `json:"schema"`
	Packed    countJSON `json:"packed"`
	Loose     countJSON `json:"loose"`
	Damaged   countJSON `json:"damaged"`
	Absent    int64     `json:"absentObjects"`
	Packs     int64     `json:"packs"`
	Dead      int64     `json:"deadBytes"`    // in packs
	GivenUp   int64     `json:"givenUpBytes"` // in files of their own
	Names     int64     `json:"names"`
	Leases    int64     `json:"leases"`
	Ingests   int64     `json:"ingests"`
	Partial   int64     `json:"partialBytes"`
	Snapshots int64     `json:"snapshots"` // layers that are kept unpacked
	Unpacked  int64     `json:"snapshotBytes"`

	// Settings are what it was told, Used what counts against the quota.
	Settings settingsJSON `json:"settings"`
	Used     int64        `json:"usedBytes"`
	told     client.Settings

	PackFiles  map[string]packsJSON `json:"packFiles"`
	Changes    int64                `json:"changes"`
	Generation int64                `json:"generation"`
	Catalog    int64                `json:"catalogBytes"`
	Log        int64                `json:"logBytes"`
	Free       uint64               `json:"freeBytes"`
	Block      int64                `json:"blockBytes"`
}

// packsJSON are the packs of one state.
type packsJSON struct {
	Packs int64 `json:"packs"`
	Bytes int64 `json:"bytes"`
	Live  int64 `json:"liveBytes"`
	Dead  int64 `json:"deadBytes"`
}

type countJSON struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
	Stored  int64 `json:"storedBytes"`
}

func newStoreInfoJSON(i client.StoreInfo) storeInfoJSON {
	j := storeInfoJSON{
		Path: i.Dir, UUID: i.UUID, ReadOnly: i.ReadOnly, Schema: i.Version,
		Packed: countJSON(i.Objects[db.LocPack]), Loose: countJSON(i.Objects[db.LocLoose]),
		Damaged: countJSON(i.Objects[db.LocDamaged]), Absent: i.Objects[db.LocAbsent].Objects,
		Dead: i.Dead, GivenUp: i.GivenUp, Names: i.Names, Leases: i.Leases, Ingests: i.Ingests, Partial: i.Partial, Snapshots: i.Snapshots, Unpacked: i.Unpacked,
		Settings: newSettingsJSON(i.Settings), Used: i.Usage.Total(), told: i.Settings,
		PackFiles: map[string]packsJSON{}, Changes: i.Changes, Generation: i.Generation,
		Catalog: i.Disk.Catalog, Log: i.Disk.WAL, Free: i.Disk.Free, Block: i.Disk.Block,
	}
	for _, c := range i.Packs {
		j.Packs += c.Objects
	}
	for state, word := range packStates() {
		c := i.Packs[state]
		j.PackFiles[word] = packsJSON{c.Objects, c.Bytes, c.Stored, i.DeadIn[state]}
	}
	return j
}

func packStates() map[db.PackState]string {
	return map[db.PackState]string{db.PackOpen: "open", db.PackSealed: "sealed", db.PackDead: "dead"}
}

// Run prints the numbers.
func (c *storeInfoCmd) Run(s *session) error {
	if len(c.Registries) > 0 {
		return s.registries(c.Registries)
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	info, err := dist.StoreInfo(s.ctx)
	if err != nil {
		return err
	}
	j := newStoreInfoJSON(info)
	return s.object(j, j.print)
}

func (j storeInfoJSON) print(w io.Writer) error {
	access := "read and write"
	if j.ReadOnly {
		access = "read only"
	}
	count := func(c countJSON) string {
		return fmt.Sprintf("%s, %s, %s on disk", plural(c.Objects, "object"), oci.HumanSize(c.Bytes), oci.HumanSize(c.Stored))
	}
	packs := func(p packsJSON) string {
		return fmt.Sprintf("%d, %s live, %s dead", p.Packs, oci.HumanSize(p.Live), oci.HumanSize(p.Dead))
	}
	disk := "unknown"
	if j.Free > 0 || j.Block > 0 {
		disk = oci.HumanSize(int64(j.Free)) + " free"
	}
	if j.Block > 0 {
		disk += ", blocks of " + oci.HumanSize(j.Block)
	}
	return printFields(w, slices.Concat([][2]string{
		{"store", j.Path},
		{"uuid", j.UUID},
		{"schema", fmt.Sprintf("%d, generation %d", j.Schema, j.Generation)},
		{"access", access},
		{"in packs", fmt.Sprintf("%s, %s", count(j.Packed), plural(j.Packs, "pack"))},
		{"in files", count(j.Loose)},
		{"damaged", plural(j.Damaged.Objects, "object")},
		{"known, not here", plural(j.Absent, "object")},
		{"open packs", packs(j.PackFiles["open"])},
		{"sealed packs", packs(j.PackFiles["sealed"])},
		{"dead packs", packs(j.PackFiles["dead"])},
		{"names", fmt.Sprintf("%d, %s", j.Names, plural(j.Changes, "change"))},
		{"leases", fmt.Sprint(j.Leases)},
		{"ingests", fmt.Sprintf("%d, %s so far", j.Ingests, oci.HumanSize(j.Partial))},
		{"unpacked layers", fmt.Sprintf("%d, %s", j.Snapshots, oci.HumanSize(j.Unpacked))},
		{"to be reclaimed", oci.HumanSize(j.Dead + j.GivenUp)},
		{"takes", oci.HumanSize(j.Used)},
		{"catalog", fmt.Sprintf("%s, log %s", oci.HumanSize(j.Catalog), oci.HumanSize(j.Log))},
		{"disk", disk},
	}, settingFields(j.told)))
}
