package testscripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool is a program and how it does what all of them do. tag is the image's, the
// same in the registry and where it is kept on the disk.
type tool struct {
	name    string
	program string
	leaves  string // what a pull leaves behind
	// ready makes the place that is pulled to, where that is more than a folder.
	ready func(to string) []string
	pull  func(host, tag, to string) []string
	push  func(from, tag, host string) []string
	copy  func(from, to string) []string
	// export writes an archive of what is kept in from, and load takes one in at to.
	export func(from, tag, to string) []string
	load   func(file, tag, to string) []string
	// unpack makes a root filesystem of what is kept in from. With script, that is one
	// for sh, and how much memory the program takes is not known.
	unpack func(t *testing.T, from, tag, to string) []string
	script bool
	can    func(b *beside, r row) bool // nil for everything
	// way says that it is another way of a program that is there: of what it cannot nothing is
	// said.
	way bool
}

// runs is what is started.
func (tl tool) runs() string {
	if tl.script {
		return "sh"
	}
	return tl.program
}

// imageIn is the name of an image in a registry.
func imageIn(host, tag string) string { return host + "/bench/app:" + tag }

func repoHost(name string) string {
	host, _, _ := strings.Cut(name, "/")
	return host
}

// tools are dist, which comes first, and the peers.
func tools(dist string) []tool {
	plain := func(host string) string { return "reg=" + host + ",tls=disabled" }
	return []tool{
		{
			name: "dist", program: dist, leaves: "a store, which was there: verified, synced, named",
			ready: func(to string) []string { return []string{"init", "--store", to} },
			pull: func(host, tag, to string) []string {
				return []string{"pull", "-q", "--store", to, imageIn(host, tag)}
			},
			push: func(from, tag, host string) []string {
				return []string{"push", "-q", "--store", from, "-r", host, "bench/app:" + tag}
			},
			copy: func(from, to string) []string { return []string{"copy", "-q", from, to} },
			export: func(from, tag, to string) []string {
				return []string{"export", "-q", "--store", from, "bench/app:" + tag, "-o", to}
			},
			load: func(file, _, to string) []string { return []string{"import", "-q", "--store", to, file} },
		},
		{
			name: "crane", program: "crane", leaves: "pull --format oci: a layout, not synced",
			pull: func(host, tag, to string) []string {
				return []string{"pull", "--insecure", "--format", "oci", imageIn(host, tag), to}
			},
			push: func(from, tag, host string) []string {
				return []string{"push", "--insecure", from, imageIn(host, tag)}
			},
			copy: func(from, to string) []string { return []string{"copy", "--insecure", from, to} },
			can:  func(_ *beside, r row) bool { return !r.archive },
		},
		{
			name: "oras", program: "oras", leaves: "copy --to-oci-layout: a layout, not synced",
			pull: func(host, tag, to string) []string {
				return []string{"copy", "--no-tty", "--from-plain-http", "--to-oci-layout", imageIn(host, tag), to + ":" + tag}
			},
			push: func(from, tag, host string) []string {
				return []string{"copy", "--no-tty", "--from-oci-layout", "--to-plain-http", from + ":" + tag, imageIn(host, tag)}
			},
			copy: func(from, to string) []string {
				return []string{"copy", "--no-tty", "--from-plain-http", "--to-plain-http", from, to}
			},
			export: func(from, tag, to string) []string { // from a registry, which is all that it can
				return []string{"backup", "--no-tty", "--plain-http", "--output", to, from}
			},
			load: func(file, tag, to string) []string {
				return []string{"copy", "--no-tty", "--from-oci-layout", "--to-oci-layout", file + ":" + tag, to + ":" + tag}
			},
		},
		{
			name: "regctl", program: "regctl", leaves: "image copy to ocidir://: a layout, not synced",
			pull: func(host, tag, to string) []string {
				return []string{"image", "copy", "--host", plain(host), imageIn(host, tag), "ocidir://" + to + ":" + tag}
			},
			push: func(from, tag, host string) []string {
				return []string{"image", "copy", "--host", plain(host), "ocidir://" + from + ":" + tag, imageIn(host, tag)}
			},
			copy: func(from, to string) []string {
				return []string{"image", "copy", "--host", plain(repoHost(from)), "--host", plain(repoHost(to)), from, to}
			},
			export: func(from, tag, to string) []string {
				return []string{"image", "export", "ocidir://" + from + ":" + tag, to}
			},
			load: func(file, tag, to string) []string {
				return []string{"image", "import", "ocidir://" + to + ":" + tag, file}
			},
		},
		{
			name: "skopeo", program: "skopeo", leaves: "copy to oci: a layout, synced blob by blob",
			pull: func(host, tag, to string) []string {
				return []string{"--insecure-policy", "copy", "-q", "--src-tls-verify=false", "docker://" + imageIn(host, tag), "oci:" + to + ":" + tag}
			},
			push: func(from, tag, host string) []string {
				return []string{"--insecure-policy", "copy", "-q", "--dest-tls-verify=false", "oci:" + from + ":" + tag, "docker://" + imageIn(host, tag)}
			},
			copy: func(from, to string) []string {
				return []string{"--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://" + from, "docker://" + to}
			},
			export: func(from, tag, to string) []string {
				return []string{"--insecure-policy", "copy", "-q", "oci:" + from + ":" + tag, "oci-archive:" + to + ":" + tag}
			},
			load: func(file, tag, to string) []string {
				return []string{"--insecure-policy", "copy", "-q", "oci-archive:" + file + ":" + tag, "oci:" + to + ":" + tag}
			},
		},
		{
			name: "ctr", program: "ctr", leaves: "into containerd, which runs: its content store, synced",
			can: func(_ *beside, r row) bool { return r.archive && os.Geteuid() == 0 && has("containerd") },
			export: func(from, tag, to string) []string {
				return []string{"-a", from, "-n", "bench", "images", "export", to, imageIn("docker.io", tag)}
			},
			load: func(file, _, to string) []string {
				return []string{"-a", to, "-n", "bench", "images", "import", "--no-unpack", file}
			},
		},
	}
}

// has says whether a program is installed.
func has(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// row is one operation. prepare makes what it needs, anew for each run, and
// returns what is to be measured; to is a folder that is not there yet.
type row struct {
	name    string
	what    string
	image   string
	archive bool // only some tools know archives
	durable bool // what it wrote is to be on the disk, as dist leaves it: sync counts
	prepare func(t *testing.T, b *beside, r row, tl tool, to string) []string
}

func (r row) title(b *beside) string {
	return r.name + ": " + r.what + ", " + b.images[r.image].String()
}

var rows = []row{
	{name: "pull-many", what: "pull, cold", image: "many", prepare: pullCold},
	{name: "pull-four", what: "pull, cold", image: "four", prepare: pullCold},
	{name: "pull-large", what: "pull, cold", image: "large", prepare: pullCold},
	{name: "pull-again", what: "pull, nothing new", image: "four", prepare: pullAfter("four")},
	{name: "pull-newer", what: "pull of a second version", image: "newer", prepare: pullAfter("four")},
	{name: "push-many", what: "push to an empty registry", image: "many", prepare: pushCold},
	{name: "push-four", what: "push to an empty registry", image: "four", prepare: pushCold},
	{name: "push-again", what: "push, nothing new", image: "four", prepare: pushAgain},
	{name: "copy-mount", what: "copy to another repository", image: "four", prepare: copyMount},
	{name: "copy-across", what: "copy to an empty registry", image: "four", prepare: copyAcross},
	{name: "export-many", what: "export to an archive", image: "many", archive: true, prepare: exported},
	{name: "export-four", what: "export to an archive", image: "four", archive: true, prepare: exported},
	{name: "export-large", what: "export to an archive", image: "large", archive: true, prepare: exported},
	{name: "export-many-durable", what: "export to an archive that outlives a power cut", image: "many", archive: true, durable: true, prepare: exported},
	{name: "export-four-durable", what: "export to an archive that outlives a power cut", image: "four", archive: true, durable: true, prepare: exported},
	{name: "export-large-durable", what: "export to an archive that outlives a power cut", image: "large", archive: true, durable: true, prepare: exported},
	{name: "import-many", what: "import of an archive", image: "many", archive: true, prepare: imported},
	{name: "import-four", what: "import of an archive", image: "four", archive: true, prepare: imported},
	{name: "import-large", what: "import of an archive", image: "large", archive: true, prepare: imported},
	{name: "import-large-durable", what: "import that outlives a power cut", image: "large", archive: true, durable: true, prepare: imported},
	{name: "import-again", what: "import, nothing new", image: "four", archive: true, prepare: importedAgain},
}

// pullCold pulls to where nothing is yet. A store is made before: that is done once in
// its life, not in each pull.
func pullCold(t *testing.T, b *beside, r row, tl tool, to string) []string {
	if tl.ready != nil {
		b.do(t, tl, tl.ready(to))
	}
	return tl.pull(b.host, r.image, to)
}

// pullAfter has another image, or the same, pulled to the same place before.
func pullAfter(before string) func(*testing.T, *beside, row, tool, string) []string {
	return func(t *testing.T, b *beside, r row, tl tool, to string) []string {
		b.do(t, tl, tl.pull(b.host, before, to))
		return tl.pull(b.host, r.image, to)
	}
}

func pushCold(t *testing.T, b *beside, r row, tl tool, _ string) []string {
	return tl.push(b.kept(t, tl, r.image), r.image, b.registry(t))
}

func pushAgain(t *testing.T, b *beside, r row, tl tool, _ string) []string {
	return tl.push(b.kept(t, tl, r.image), r.image, b.host)
}

// copyMount has a repository that nobody has copied to for its target.
func copyMount(_ *testing.T, b *beside, r row, tl tool, _ string) []string {
	b.copies++
	return tl.copy(imageIn(b.host, r.image), fmt.Sprintf("%s/bench/copy%d:%s", b.host, b.copies, r.image))
}

func copyAcross(t *testing.T, b *beside, r row, tl tool, _ string) []string {
	return tl.copy(imageIn(b.host, r.image), imageIn(b.registry(t), r.image))
}

// kept is where a tool has an image on the disk, to push it from.
func (b *beside) kept(t *testing.T, tl tool, tag string) string {
	t.Helper()
	if tl.name == "dist" {
		return filepath.Join(b.dir, "maker")
	}
	dir := filepath.Join(b.dir, tl.name+"-"+tag)
	if _, err := os.Stat(dir); err != nil {
		b.do(t, tl, tl.pull(b.host, tag, dir))
	}
	return dir
}

// installed says which of the tools are here.
func installed(all []tool) (here []tool, absent []string) {
	for _, tl := range all {
		if _, err := exec.LookPath(tl.program); err != nil {
			absent = append(absent, tl.name)
			continue
		}
		here = append(here, tl)
	}
	return here, absent
}
