package cmd

import (
	"fmt"
	"io"

	"dist.example/client"
	"dist.example/db"
	"dist.example/oci"
)

// duCmd is `dist du`.
type duCmd struct {
	Name []string `arg:"" optional:"" complete:"name" help:"Names to tell of; all without any."`
}

// Help is the longer text of `dist du --help`.
func (duCmd) Help() string {
	return `Tells what names take. SIZE is the content as it travels (layers compressed, as they came), STORED what that takes on disk: OWN is the part that no other name reaches, SHARED the rest. FREES is what removing the name, and it alone, gives back in the end: OWN without what a lease or the history of another name keeps. Small content lies together in packs, and comes back when enough of one is of no use. All bytes of what is about an image count as its own parts do.

The last lines tell of the store as a whole, each object once. Names that share content each count it, so they add up to more. Layers that are kept unpacked ("dist unpack --snapshots") count there alone: they go when their layer goes, or when room is needed.

Examples:

    $ dist du
    $ dist du redis:7 redis:6
    $ dist du --format json | jq -r '.names | sort_by(-.freesBytes)[].name'`
}

// duJSON is what names take, and the store.
type duJSON struct {
	Names []usageJSON `json:"names"`
	Store usedJSON    `json:"store"`
}

type usageJSON struct {
	Name    string     `json:"name"`
	Digest  oci.Digest `json:"digest"`
	Objects int64      `json:"objects"`
	Size    int64      `json:"bytes"`
	Stored  int64      `json:"storedBytes"`
	Own     int64      `json:"ownBytes"`
	Shared  int64      `json:"sharedBytes"`
	Frees   int64      `json:"freesBytes"`
}

// usedJSON is what the store takes on disk, in bytes.
type usedJSON struct {
	Packed   int64 `json:"packedBytes"`
	Loose    int64 `json:"looseBytes"`
	Damaged  int64 `json:"damagedBytes"`
	Dead     int64 `json:"deadBytes"`
	Partial  int64 `json:"partialBytes"`
	Unpacked int64 `json:"snapshotBytes"` // layers that are kept unpacked
	Headers  int64 `json:"headerBytes"`   // what stands around objects in packs
	Total    int64 `json:"totalBytes"`
}

func newDuJSON(usages []client.Usage, info client.StoreInfo) duJSON {
	j := duJSON{Names: []usageJSON{}, Store: usedJSON{
		Packed: info.Objects[db.LocPack].Stored, Loose: info.Objects[db.LocLoose].Stored, Damaged: info.Objects[db.LocDamaged].Stored,
		Dead: info.Dead + info.GivenUp, Partial: info.Usage.Ingests, Unpacked: info.Unpacked,
	}}
	for _, c := range info.Packs {
		j.Store.Headers += c.Bytes - c.Stored
	}
	j.Store.Headers -= info.Dead
	j.Store.Total = j.Store.Packed + j.Store.Loose + j.Store.Damaged + j.Store.Dead + j.Store.Partial + j.Store.Unpacked + j.Store.Headers
	for _, u := range usages {
		j.Names = append(j.Names, usageJSON{u.Name, u.Digest, u.Objects, u.Size, u.Stored, u.Own, u.Shared, u.Frees})
	}
	return j
}

// Run tells what names take.
func (c *duCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	usages, err := dist.Usages(s.ctx, c.Name...)
	if err != nil {
		return aboutOne(c.Name, err)
	}
	info, err := dist.StoreInfo(s.ctx)
	if err != nil {
		return err
	}
	j := newDuJSON(usages, info)
	return s.object(j, j.print)
}

func (j duJSON) print(w io.Writer) error {
	t := newTable(w, columns("NAME", "OBJECTS|", "SIZE|", "STORED|", "OWN|", "SHARED|", "FREES|"))
	for _, u := range j.Names {
		cells := []string{u.Name, fmt.Sprint(u.Objects)}
		for _, n := range []int64{u.Size, u.Stored, u.Own, u.Shared, u.Frees} {
			cells = append(cells, oci.HumanSize(n))
		}
		if err := t.add(cells...); err != nil {
			return err
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	st := j.Store
	parts := fmt.Sprintf("%s in packs, %s of headers and notes, %s in files, %s to be reclaimed, %s of ingests",
		oci.HumanSize(st.Packed), oci.HumanSize(st.Headers), oci.HumanSize(st.Loose), oci.HumanSize(st.Dead), oci.HumanSize(st.Partial))
	if st.Unpacked > 0 {
		parts += ", " + oci.HumanSize(st.Unpacked) + " of unpacked layers"
	}
	if st.Damaged > 0 {
		parts += ", " + oci.HumanSize(st.Damaged) + " damaged"
	}
	_, err := fmt.Fprintf(w, "\nstore  %s on disk: %s\n", oci.HumanSize(st.Total), parts)
	return err
}
