package cmd

import (
	"fmt"
	"io"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/unpack"
)

// pullCmd is `dist pull`.
type pullCmd struct {
	policyFlag
	registryFlag
	platformFlags
	listFlags
	lookFlags
	planFlag
	evictFlag
	jobsFlag
	quietFlag
	networkFlags
	Verify        bool     `help:"Hash what is here already, too, and fetch again what does not match."`
	AllowRollback bool     `help:"Take an image whose signature is older than one that was accepted for the name before."`
	As            string   `placeholder:"NAME" complete:"name" help:"Name for the one image that is pulled, in place of its own."`
	Unpack        string   `type:"path" complete:"dir" placeholder:"DIR" help:"Unpack the one image that is pulled to this folder, too, as unpack does."`
	Bundle        bool     `help:"With --unpack: make a runtime bundle."`
	Rootless      bool     `help:"With --unpack: everything belongs to you, also as root."`
	Snapshots     bool     `help:"With --unpack: keep the layers unpacked in the store, and copy the folder from there."`
	Mount         bool     `help:"With --unpack: keep the layers unpacked in the store, and mount them."`
	Name          []string `arg:"" optional:"" complete:"locator" help:"Images to pull: redis, redis:7, quay.io/prometheus/prometheus@sha256:..., or locators such as oci:DIR:TAG."`
}

// listFlags are for verbs that work on many images.
type listFlags struct {
	From []string `sep:"none" placeholder:"LIST" complete:"file" help:"Take also what this file lists, - for stdin. ${repeat}"`
	Lock string   `type:"path" placeholder:"FILE" help:"Write the names with their digests to this file when all is done. It is a list again."`
}

// Help is the longer text of `dist pull --help`.
func (pullCmd) Help() string {
	return `Only what is missing is fetched, each byte is checked, and the names appear together at the end: all or none. A pull that was interrupted goes on where it stopped. What a registry cannot give comes from another one that is known to have it.

What is about the images comes along: signatures, SBOMs, and what is about those. For an image that is here already, the registry is asked for that once a day.

Where there is a policy (dist trust), an image needs what it asks for before anything of it comes but its manifest and its signatures; else exit 5, and no name moves.

What does not fit under the store's quota, or on its disk, is refused before anything of it comes (exit 9); --evict makes room where that is possible, else nothing goes.

A list has one NAME[@DIGEST] a line, perhaps with a platform (OS/ARCH) after it; # begins a comment. A line NAME:TAG@DIGEST pulls the digest and names it NAME:TAG, so that a lock brings back the same names with the same content. (Among the arguments NAME:TAG@DIGEST is kept as NAME@DIGEST.)

A list may also be YAML or JSON: objects of Kubernetes, the values of a chart, or a manifest of hauler. Every field called image is read, and hauler's images and charts of registries; what cannot be taken is told on stderr, and --plan says of each name where it was read. YAML with no image to take is an error (exit 2); a list with a name a line may be empty.

With --unpack the image is unpacked when it is here and has its name (see unpack for more). A folder that is in the way is told before anything is fetched.

Images also come from other places: ` + transportPlaces + `. They are called what the place calls them, or --as.

Examples:

    $ dist pull redis:7
    $ dist pull --platform linux/arm64 redis:7 postgres:16
    $ dist pull -r localhost:5000 demo/go:v1
    $ dist pull --from images.txt --lock images.lock
    $ dist pull --plan --from images.lock
    $ dist pull --unpack rootfs alpine:3
    $ dist pull --unpack app --bundle demo/app:v1 && runc run --bundle app app1
    $ kubectl get deployments -A -o yaml | dist pull --from -
    $ dist pull oci-archive:redis.tar --as redis:7`
}

// Run pulls and prints each name with its digest.
func (c *pullCmd) Run(s *session) error {
	s.under(c.policyFlag)
	o := client.PullOptions{
		Platforms: c.platformFlags.choice(), Registry: c.Registry, Verify: c.Verify, As: c.As, Lock: c.Lock,
		Referrers: c.lookFlags.choice(), Revalidate: c.age(), AllowRollback: c.AllowRollback, Evict: c.Evict,
	}
	if c.Plan && c.Verify {
		return usagef("--verify reads all that is here, and --plan only looks: give one of them")
	}
	switch {
	case c.Unpack == "" && (c.Bundle || c.Rootless || c.Snapshots || c.Mount):
		return usagef("--bundle, --rootless, --snapshots and --mount say how to unpack: give --unpack DIR, too")
	case c.Unpack != "" && c.Plan:
		return usagef("--plan only looks, and --unpack makes a folder: give one of them")
	case c.Unpack != "":
		o.Unpack = &client.UnpackTo{Dir: c.Unpack, UnpackOptions: unpackDefaults(c.Rootless)}
		o.Unpack.Snapshots, o.Unpack.Mount = c.Snapshots, c.Mount
		if c.Bundle {
			o.Unpack.Bundle = &unpack.BundleOptions{}
		}
	}
	return s.pull(pullCall{c.networkFlags, c.Jobs, c.From, c.Plan, c.quietFlag, c.Name}, o)
}

// pullCall is how pull, or fetch, was called.
type pullCall struct {
	network networkFlags
	jobs    jobs
	from    []string
	plan    bool
	quietFlag
	names []string
}

// pull is what pull and fetch do.
func (s *session) pull(c pullCall, o client.PullOptions) (err error) {
	if err := (planFlag{c.plan}).writesNo(o.Lock); err != nil {
		return err
	}
	if len(c.names) == 0 && len(c.from) == 0 {
		return usagef("neither an image nor a list (--from) is given")
	}
	if o.List, err = s.readLists(c.from); err != nil {
		return err
	}
	dist, err := s.transfers(c.network, c.jobs)
	if err != nil {
		return err
	}
	if c.plan {
		plan, err := dist.PlanPull(s.ctx, c.names, o)
		return s.planned(c.quietFlag, plan, err, c.names...)
	}
	s.progress.start()
	sum, err := dist.Pull(s.ctx, c.names, o)
	if err != nil && len(c.names) == 1 {
		err = otherTags(err, c.names[0], o.Registry)
	}
	if err = s.moved(sum, err, c.quietFlag, c.names...); err == nil && sum.Unpacked != nil && !c.Quiet {
		if sum.Unpacked.MountCommand != "" && !sum.Unpacked.Mounted {
			s.warn("it is not mounted yet: " + sum.Unpacked.MountCommand)
		}
		s.unpacked(*sum.Unpacked)
	}
	return err
}

// movedJSON is the result of a verb that moves images.
type movedJSON struct {
	Names    []nameJSON `json:"names"`
	Moved    int64      `json:"movedBytes"`
	Reused   int64      `json:"reusedBytes"`
	Requests int64      `json:"requests"`
	Seconds  float64    `json:"seconds"`
	// How many manifests about the images are there now, and whether that was
	// looked at: 0 says something only then.
	Referrers int  `json:"referrers"`
	Looked    bool `json:"referrersLooked"`
	// Unpacked is what became of --unpack.
	Unpacked *unpackJSON `json:"unpacked,omitempty"`
}

type nameJSON struct {
	Name      string     `json:"name"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
	Changed   bool       `json:"changed"`
	// Vouchers are the keys that vouch for it by the policy, none where nobody has to.
	Vouchers []oci.Digest `json:"vouchers,omitempty"`
}

// moved ends a verb that moves images: names with their digests on stdout, the
// account on stderr. After an error there is only the error. names are what was
// asked for.
func (s *session) moved(sum client.Summary, err error, q quietFlag, names ...string) error {
	s.progress.stop()
	if err != nil {
		if len(names) == 1 {
			err = about(names[0], err)
		}
		return err
	}
	j := newMovedJSON(sum)
	err = s.result(q, j.ids(), j, j.print)
	if !q.Quiet { // also where the result could not be printed: it moved
		for _, n := range sum.Names {
			if len(n.Vouchers) > 0 {
				s.warn(printable(n.Name) + ": vouched for by key " + shortDigests(n.Vouchers, ", "))
			}
		}
		s.progress.summary(account{sum.MovedBytes, sum.ReusedBytes, sum.Requests, int64(sum.Referrers)}, sum.Elapsed)
	}
	return err
}

func newMovedJSON(sum client.Summary) movedJSON {
	j := movedJSON{
		Names: []nameJSON{}, Moved: sum.MovedBytes, Reused: sum.ReusedBytes,
		Requests: sum.Requests, Seconds: sum.Elapsed.Seconds(), Referrers: sum.Referrers, Looked: sum.Looked,
	}
	for _, n := range sum.Names {
		j.Names = append(j.Names, nameJSON{n.Name, n.Target.Digest, n.Target.MediaType, n.Target.Size, n.Changed, n.Vouchers})
	}
	if u := sum.Unpacked; u != nil {
		one := newUnpackJSON(*u)
		j.Unpacked = &one
	}
	return j
}

func (j movedJSON) print(w io.Writer) error {
	for _, n := range j.Names {
		if _, err := fmt.Fprintln(w, n.Name, n.Digest); err != nil {
			return err
		}
	}
	return nil
}

// ids are the digests, which -q prints.
func (j movedJSON) ids() (ids []string) {
	for _, n := range j.Names {
		ids = append(ids, n.Digest.String())
	}
	return ids
}
