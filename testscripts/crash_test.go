package testscripts

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// What steers the program dist of these tests, through its environment.
const (
	// crashVar names the point to die at, POINT or POINT:N for the N-th time that it
	// is reached; any counts all points.
	crashVar = "DIST_CRASH"
	// onceVar names a file that is made by the first process to die there: others
	// live on.
	onceVar = "DIST_CRASH_ONCE"
	// traceVar names a file that each point is appended to as it is reached.
	traceVar = "DIST_TRACE"
	// pauseVar lets a process rest for a duration at the N-th point that it reaches,
	// N:DURATION: what others do between two of its steps is more than they would get to
	// by themselves.
	pauseVar = "DIST_PAUSE"
)

// killsVar, in the environment of the tests, set to all, kills every workload at
// every point. Without it each point has its turn in one workload, which takes a
// quarter of the time.
const killsVar = "DIST_KILLS"

// crashHook is the hook that the environment asks for, nil for none.
func crashHook() func(string) {
	at, n, numbered := strings.Cut(os.Getenv(crashVar), ":")
	left := atomic.Int64{}
	left.Store(1)
	if numbered {
		count, err := strconv.Atoi(n)
		if err != nil {
			die(2, "%s: %v", crashVar, err)
		}
		left.Store(int64(count))
	}
	trace := func(string) {}
	if name := os.Getenv(traceVar); name != "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			die(2, "%s: %v", traceVar, err)
		}
		trace = func(point string) { fmt.Fprintln(f, point) }
	} else if at == "" && os.Getenv(pauseVar) == "" {
		return nil
	}
	pause := pausing()
	return func(point string) {
		trace(point)
		pause()
		if (point == at || at == "any") && left.Add(-1) == 0 && firstToDie() {
			killMyself()
		}
	}
}

// pausing is what pauseVar asks for.
func pausing() func() {
	v := os.Getenv(pauseVar)
	if v == "" {
		return func() {}
	}
	n, d, _ := strings.Cut(v, ":")
	count, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		die(2, "%s: %v", pauseVar, err)
	}
	rest, err := time.ParseDuration(d)
	if err != nil {
		die(2, "%s: %v", pauseVar, err)
	}
	left := atomic.Int64{}
	left.Store(count)
	return func() {
		if left.Add(-1) == 0 {
			time.Sleep(rest)
		}
	}
}

func firstToDie() bool {
	name := os.Getenv(onceVar)
	if name == "" {
		return true
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// killMyself is kill -9. No goroutine that calls it comes back.
func killMyself() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		die(2, "kill myself: %v", err)
	}
	select {}
}

// workload is one command, in a store that others have prepared. It is killed at
// every point that it reaches, and must succeed when it is tried again.
type workload struct {
	name    string
	prepare func(b *box)
	command
	// damaged says that the store is when it begins, and check would say so until the
	// workload has ended; unhealed, that it would say so then, too.
	damaged, unhealed bool
	// lose makes the store one that is refused until the workload has ended.
	lose func(b *box)
	// again are exit codes of a second try that also mean that all is done, beside
	// that of the first.
	again []int
	quiet bool // a second try prints something else
	// proof, for what is made anew in each run, such as a signature, is a command that
	// shows that it is whole; the names are compared all the same.
	proof []string
	// only picks points by how they begin, where others have had the rest.
	only []string
}

// picks says whether the workload is to be killed at a point.
func (w workload) picks(point string) bool {
	if len(w.only) == 0 { // a process that only has locks leaves nothing
		return point != "db.locked" && point != "db.begun"
	}
	return slices.ContainsFunc(w.only, func(start string) bool { return strings.HasPrefix(point, start) })
}

// trial is a workload that has been run once without a crash.
type trial struct {
	workload
	start         *box // what it begins with
	before, after state
	printed       string
	points        map[string]int
}

func try(t *testing.T, w workload, vars map[string]string) trial {
	tr := trial{workload: w, start: newBox(t, vars)}
	if w.prepare != nil {
		w.prepare(tr.start)
	}
	tr.before = tr.start.copy(t).state()
	b := tr.begin(t)
	b.registry()
	trace := filepath.Join(b.dir, "trace")
	tr.printed = b.ok(w.command, traceVar+"="+trace)
	tr.after = b.state()
	tr.sound(b, "undisturbed,")
	tr.points = tally(t, trace)
	if t.Failed() {
		t.FailNow()
	}
	return tr
}

// begin is a box to run the workload in.
func (tr *trial) begin(t *testing.T) *box {
	b := tr.start.copy(t)
	if tr.lose != nil {
		tr.lose(b)
	}
	return b
}

// sound lets check judge a store in which the workload has ended.
func (tr *trial) sound(b *box, when string) {
	b.t.Helper()
	if !tr.unhealed {
		b.sound(when)
	}
}

// registry gives the box a registry of its own to push to.
func (b *box) registry() *registrytest.Registry {
	r := registrytest.New(b.t, registrytest.Options{})
	b.vars["PUSH"] = r.Host
	return r
}

func tally(t *testing.T, trace string) map[string]int {
	p, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]int{}
	for point := range strings.FieldsSeq(string(p)) {
		points[point]++
	}
	return points
}

// kill kills the workload at the n-th time that point is reached, looks at what
// is left, and does it again.
func (tr *trial) kill(t *testing.T, point string, n int) {
	b := tr.begin(t)
	reg := b.registry()
	out := b.run(tr.command, fmt.Sprintf("%s=%s:%d", crashVar, point, n), traceVar+"="+filepath.Join(b.dir, "trace"))
	if !out.killed {
		tr.escaped(t, b, out, point, n)
		return
	}
	tr.judge(b, out)
	again := b.run(tr.command)
	if again.exit != tr.exit && !slices.Contains(tr.again, again.exit) {
		t.Fatalf("again: exit %d, want %d\n%s", again.exit, tr.exit, again.stderr)
	}
	if !tr.quiet && again.exit == tr.exit && again.stdout != tr.printed {
		t.Errorf("again it prints\n%s, undisturbed\n%s", again.stdout, tr.printed)
	}
	tr.sound(b, "done again,")
	tr.same(t, b)
	if tr.args[0] == "push" {
		sent(t, reg, tr.printed)
	}
}

// same holds what the store has against an undisturbed run.
func (tr *trial) same(t *testing.T, b *box) {
	got := b.state()
	if len(tr.proof) == 0 {
		if !maps.Equal(got.blobs, tr.after.blobs) || !maps.Equal(got.names, tr.after.names) {
			t.Errorf("done again, the store has\n%v, undisturbed\n%v", got, tr.after)
		}
		return
	}
	b.dist(tr.proof...)
	if names, want := slices.Sorted(maps.Keys(got.names)), slices.Sorted(maps.Keys(tr.after.names)); !slices.Equal(names, want) {
		t.Errorf("done again, the names are %q, undisturbed %q", names, want)
	}
}

// escaped is about a run that came to its end. How many batches there are, and so
// how often a point is reached, differs from run to run.
func (tr *trial) escaped(t *testing.T, b *box, out outcome, point string, n int) {
	switch had := tally(t, filepath.Join(b.dir, "trace"))[point]; {
	case had >= n || out.exit != tr.exit:
		t.Fatalf("it was not killed: exit %d\n%s", out.exit, out.stderr)
	case had == 0:
		t.Skip("this run never came to the point")
	default:
		tr.kill(t, point, had)
	}
}

var digests = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// judge looks at a store after a kill: it opens and is sound, and all that was
// promised is there.
func (tr *trial) judge(b *box, out outcome) {
	b.t.Helper()
	if _, err := os.Stat(filepath.Join(b.store(), "store.json")); err != nil && tr.prepare == nil {
		return // it was not made yet
	}
	if exit := b.run(call("list")).exit; tr.lose != nil && (exit == 4 || exit == 13) {
		return // it is refused, as it was
	}
	got := b.state()
	if !tr.damaged {
		b.sound("killed,")
	}
	for d := range tr.before.blobs {
		if _, there := got.blobs[d]; tr.after.blobs[d] && !there {
			b.t.Errorf("killed, %s is gone", d)
		}
	}
	if len(tr.proof) > 0 {
		return // what comes differs from run to run
	}
	for d := range got.blobs {
		_, was := tr.before.blobs[d]
		if _, becomes := tr.after.blobs[d]; !was && !becomes {
			b.t.Errorf("killed, %s came from nowhere", d)
		}
	}
	for _, d := range digests.FindAllString(out.stdout, -1) {
		if tr.after.blobs[oci.Digest(d)] && !got.blobs[oci.Digest(d)] {
			b.t.Errorf("it was killed after it had printed %s, which is not there", d)
		}
	}
	all := maps.Clone(tr.before.names)
	maps.Copy(all, tr.after.names)
	maps.Copy(all, got.names)
	for name := range all {
		if is := got.names[name]; is != tr.before.names[name] && is != tr.after.names[name] {
			b.t.Errorf("killed, %s stands for %q, before %q, then %q", name, is, tr.before.names[name], tr.after.names[name])
		}
	}
}

// sent looks whether the registry has what was pushed, under its tag.
func sent(t *testing.T, reg *registrytest.Registry, printed string) {
	want := digests.FindString(printed)
	for n, err := range reg.Store().Names(t.Context(), "") {
		if err == nil && n.Target.Digest == oci.Digest(want) {
			return
		}
	}
	t.Errorf("the registry has no tag for %s", want)
}

// TestKilledAtEveryPoint kills workloads where they first come to each point of the
// protocols, and where they last do: one for each point, or every one that comes to
// it (make crash).
func TestKilledAtEveryPoint(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getenv("DIST_BINARY") != "" {
		t.Skip("needs kill -9, and a program with hooks")
	}
	var (
		mu      sync.Mutex
		reached = map[string]bool{}
		tried   int
		all     = workloads()
	)
	vars := fixtures(t)
	t.Run("workload", func(t *testing.T) {
		for _, w := range all {
			t.Run(strings.ReplaceAll(w.name, " ", "_"), func(t *testing.T) {
				t.Parallel()
				tr := try(t, w, vars)
				var mine []string
				mu.Lock()
				tried++
				for point := range tr.points {
					if w.picks(point) && (!reached[point] || os.Getenv(killsVar) == "all") {
						reached[point], mine = true, append(mine, point)
					}
				}
				mu.Unlock()
				for _, point := range mine {
					n := tr.points[point]
					for _, at := range slices.Compact([]int{1, n}) {
						t.Run(fmt.Sprintf("%s:%d", point, at), func(t *testing.T) {
							t.Parallel()
							tr.kill(t, point, at)
						})
					}
				}
			})
		}
	})
	if tried < len(all) {
		return // a part was asked for
	}
	for point := range pointsOfTheSources(t) {
		if !reached[point] {
			t.Errorf("no workload reaches the point %s", point)
		}
	}
}
