package testscripts

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// next is the writer's next step, perhaps one that was killed before.
func (w *writer) next() (st step, retried bool) {
	if again, n := w.rand.IntN(3) == 0, len(w.unfinished); again && n > 0 {
		st := w.unfinished[n-1]
		w.unfinished = w.unfinished[:n-1]
		return st, true
	}
	steps := []func() step{
		w.put, w.put, w.putMany, w.putShared, w.ingest, w.ingestShared, w.pull, w.pull, w.tag, w.tag, w.remove, w.delete, w.path,
		func() step { return w.look("list", "-q") },
		func() step { return w.look("check") },
	}
	return steps[w.rand.IntN(len(steps))](), false
}

// look is a step that only reads.
func (w *writer) look(args ...string) step {
	return step{command: call(args...), done: func(string) {}, begun: func(string) {}}
}

// file writes content that nobody else has and returns its name and digest.
func (w *writer) file(part int) (string, oci.Digest) {
	size := 500 + w.rand.IntN(1000)
	switch w.rand.IntN(4) {
	case 0:
		size += 300 << 10
	case 1:
		size += 1 << 20
	}
	p := registrytest.Bytes(w.seed+uint64(w.id)<<40+uint64(w.steps)<<8+uint64(part), size)
	return w.write(fmt.Sprintf("w%d-%d-%d", w.id, w.steps, part), p)
}

func (w *writer) write(name string, p []byte) (string, oci.Digest) {
	name = filepath.Join(w.dir, name)
	w.must(os.WriteFile(name, p, 0o644))
	return name, oci.DigestBytes(p)
}

// promise notes the digests that were printed.
func (w *writer) promise(printed string) {
	for _, d := range digests.FindAllString(printed, -1) {
		w.blobs[oci.Digest(d)] = true
	}
}

func (w *writer) putting(want oci.Digest, c command) step {
	return step{command: c, done: func(printed string) {
		if strings.TrimSpace(printed) != want.String() {
			w.t.Errorf("dist %s printed %q, want %s", strings.Join(c.args, " "), printed, want)
		}
		w.promise(printed)
	}, begun: w.promise}
}

func (w *writer) put() step {
	name, d := w.file(0)
	return w.putting(d, call("put", name))
}

func (w *writer) putShared() step {
	i := w.rand.IntN(len(w.shared))
	name, d := w.write(fmt.Sprintf("shared%d-%d", w.id, i), w.shared[i])
	return w.putting(d, command{args: []string{"put"}, stdin: name})
}

func (w *writer) putMany() step {
	args, all := []string{"put", "--batch"}, []oci.Digest{}
	for i := range 2 + w.rand.IntN(5) {
		name, d := w.file(i)
		args, all = append(args, name), append(all, d)
	}
	return step{command: call(args...), done: func(printed string) {
		w.promise(printed)
		for _, d := range all {
			if !w.blobs[d] {
				w.t.Errorf("put --batch printed no %s", d)
			}
		}
	}, begun: w.promise}
}

// ingest brings content under a key of the writer's own.
func (w *writer) ingest() step {
	name, d := w.file(0)
	return w.putting(d, command{args: []string{"ingest", "--expected-digest", d.String(), filepath.Base(name)}, stdin: name})
}

// ingestShared brings what all writers bring under the same key.
func (w *writer) ingestShared() step {
	i := w.rand.IntN(len(w.shared))
	name, d := w.write(fmt.Sprintf("shared%d-%d", w.id, i), w.shared[i])
	return w.putting(d, command{args: []string{"ingest", "--expected-digest", d.String(), fmt.Sprintf("key%d", i)}, stdin: name})
}

func (w *writer) pull() step {
	tags := slices.Sorted(maps.Keys(w.images))
	tag := tags[w.rand.IntN(len(tags))]
	name := w.vars["PULL"] + "/" + tag
	return step{
		command: call("pull", name),
		done:    func(string) { w.names[name] = []oci.Digest{w.images[tag]} },
		begun: func(string) {
			if len(w.names[name]) == 0 {
				w.names[name] = []oci.Digest{"", w.images[tag]}
			}
		},
	}
}

// own picks content of the writer that no name and no unfinished step is about.
func (w *writer) own() (oci.Digest, bool) {
	free := maps.Clone(w.blobs)
	for _, p := range w.shared {
		delete(free, oci.DigestBytes(p))
	}
	for _, targets := range w.names {
		for _, d := range targets {
			delete(free, d)
		}
	}
	for _, st := range w.unfinished {
		for _, arg := range st.args {
			delete(free, oci.Digest(arg))
		}
	}
	if len(free) == 0 {
		return "", false
	}
	all := slices.Sorted(maps.Keys(free))
	return all[w.rand.IntN(len(all))], true
}

// tag moves a name of the writer's own.
func (w *writer) tag() step {
	d, ok := w.own()
	if !ok {
		return w.put()
	}
	return w.naming(fmt.Sprintf("docker.io/w%d/n%d:latest", w.id, w.rand.IntN(3)), d, "tag", d.String())
}

// naming is a step after which name stands for d. Two of them about one name
// would leave open which comes last, when they are done again.
func (w *writer) naming(name string, d oci.Digest, args ...string) step {
	for _, st := range w.unfinished {
		if slices.Contains(st.args, name) {
			return w.look("images")
		}
	}
	return step{
		command: call(append(args, name)...),
		done:    func(string) { w.names[name] = []oci.Digest{d} },
		begun:   func(string) { w.names[name] = append(slices.Clone(w.now(name)), d) },
	}
}

// now is what a name may stand for.
func (w *writer) now(name string) []oci.Digest {
	if targets := w.names[name]; len(targets) > 0 {
		return targets
	}
	return []oci.Digest{""}
}

// remove drops a name by giving it to nothing: one that is there for certain.
func (w *writer) remove() step {
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if targets := w.names[name]; strings.HasPrefix(name, "docker.io/") && len(targets) == 1 && targets[0] != "" {
			st := w.naming(name, "", "remove")
			st.late = 3
			return st
		}
	}
	return w.tag()
}

func (w *writer) delete() step {
	d, ok := w.own()
	if !ok {
		return w.putMany()
	}
	gone := func(string) { delete(w.blobs, d) }
	return step{command: call("delete", d.String()), done: gone, begun: gone}
}

func (w *writer) path() step {
	d, ok := w.own()
	if !ok {
		return w.put()
	}
	return w.look("path", d.String())
}
