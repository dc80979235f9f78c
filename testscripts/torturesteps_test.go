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

// mostBlobs is how much a writer has before it deletes rather than put more.
const mostBlobs = 60

// next is the writer's next step, perhaps one that was killed before.
func (w *writer) next() (st step, retried bool) {
	if again, n := w.rand.IntN(3) == 0, len(w.unfinished); again && n > 0 {
		st := w.unfinished[n-1]
		w.unfinished = w.unfinished[:n-1]
		return st, true
	}
	if len(w.blobs) > mostBlobs {
		return w.delete(), false
	}
	steps := []func() step{
		w.put, w.put, w.putMany, w.putShared, w.ingest, w.ingestShared, w.pull, w.pull, w.pullOwn, w.pullOwn, w.push,
		w.fleeting, w.tag, w.tag, w.remove, w.remove, w.delete, w.path, w.see, w.see,
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
	w.ever[oci.DigestBytes(p)] = true
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

// putting is a step that stores the content of a file.
func (w *writer) putting(file string, want oci.Digest, c command) step {
	return step{files: []string{file}, command: c, done: func(printed string) {
		if strings.TrimSpace(printed) != want.String() {
			w.t.Errorf("dist %s printed %q, want %s", strings.Join(c.args, " "), printed, want)
		}
		w.promise(printed)
	}, begun: w.promise}
}

func (w *writer) put() step {
	name, d := w.file(0)
	return w.putting(name, d, call("put", name))
}

// fleeting stores what may go in a moment.
func (w *writer) fleeting() step {
	name, _ := w.file(0)
	return step{files: []string{name}, command: call("put", "--keep", "1s", name), done: func(string) {}, begun: func(string) {}}
}

func (w *writer) putShared() step {
	i := w.rand.IntN(len(w.shared))
	name, d := w.write(fmt.Sprintf("shared%d-%d-%d", w.id, w.steps, i), w.shared[i])
	return w.putting(name, d, command{args: []string{"put"}, stdin: name})
}

func (w *writer) putMany() step {
	args, all := []string{"put", "--batch"}, []oci.Digest{}
	for i := range 2 + w.rand.IntN(5) {
		name, d := w.file(i)
		args, all = append(args, name), append(all, d)
	}
	return step{files: args[2:], command: call(args...), done: func(printed string) {
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
	return w.putting(name, d, command{args: []string{"ingest", "--expected-digest", d.String(), filepath.Base(name)}, stdin: name})
}

// ingestShared brings what all writers bring under the same key.
func (w *writer) ingestShared() step {
	i := w.rand.IntN(len(w.shared))
	name, d := w.write(fmt.Sprintf("shared%d-%d-%d", w.id, w.steps, i), w.shared[i])
	return w.putting(name, d, command{args: []string{"ingest", "--expected-digest", d.String(), fmt.Sprintf("key%d", i)}, stdin: name})
}

// pull brings an image that all writers pull, and none removes.
func (w *writer) pull() step {
	tag := fmt.Sprintf("app:v%d", w.rand.IntN(4))
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

// pullOwn brings an image of the writer's own, which may have gone before.
func (w *writer) pullOwn() step {
	tag := fmt.Sprintf("w%d/app:v%d", w.id, w.rand.IntN(2))
	return w.naming(w.vars["PULL"]+"/"+tag, w.images[tag], "pull")
}

// push sends an image that is here for certain.
func (w *writer) push() step {
	var names []string
	for name, targets := range w.names {
		if strings.HasPrefix(name, w.vars["PULL"]) && len(targets) == 1 && targets[0] != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return w.pullOwn()
	}
	slices.Sort(names)
	name := names[w.rand.IntN(len(names))]
	_, tag, _ := strings.Cut(name, "/")
	d, to := w.names[name][0], fmt.Sprintf("from%d/%s", w.id, tag)
	for _, st := range w.unfinished {
		if slices.Contains(st.args, name) {
			return w.look("images")
		}
	}
	return step{
		command: call("push", name, w.vars["PUSH"]+"/"+to),
		done:    func(string) { w.pushed[to] = d },
		begun:   func(string) {},
	}
}

// sent looks whether the registry has what was pushed.
func (w *writer) sent() {
	got := map[string]oci.Digest{}
	for n, err := range w.target.Store().Names(w.t.Context(), "") {
		w.must(err)
		got[strings.TrimPrefix(n.Reference.String(), "docker.io/")] = n.Target.Digest
	}
	for tag, d := range w.pushed {
		if got[tag] != d {
			w.t.Errorf("writer %d pushed %s to %s, where there is %q", w.id, d, tag, got[tag])
		}
	}
}

// see looks for what was promised, in the middle of all.
func (w *writer) see() step {
	if w.rand.IntN(2) == 0 {
		if d, ok := w.own(); ok {
			return w.look("get", "-e", d.String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if targets := w.names[name]; len(targets) == 1 && targets[0] != "" && w.rand.IntN(3) == 0 {
			return w.look("get", "-e", name)
		}
	}
	return w.look("images")
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
// would leave open which comes last, when they are done again. What has had a name is
// held by names alone.
func (w *writer) naming(name string, d oci.Digest, args ...string) step {
	for _, st := range w.unfinished {
		if slices.Contains(st.args, name) {
			return w.look("images")
		}
	}
	if w.blobs[d] {
		delete(w.blobs, d)
		w.ever[d] = true
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

// remove drops a name by giving it to nothing: one of its own that is there for
// certain.
func (w *writer) remove() step {
	names := slices.Sorted(maps.Keys(w.names))
	w.rand.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	for _, name := range names {
		if targets := w.names[name]; strings.Contains(name, fmt.Sprintf("/w%d/", w.id)) && len(targets) == 1 && targets[0] != "" {
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
