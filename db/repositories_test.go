package db

import (
	"fmt"
	"slices"
	"testing"

	"dist.example/oci"
	"dist.example/schema"
)

// include puts objects into a repository.
func (g *graph) include(repo string, how Membership, ns ...int) {
	g.tb.Helper()
	write(g.tb, g.d, func(tx *Tx) error {
		rows, err := tx.ObjectsByID(g.idsOf(ns...))
		if err != nil {
			return err
		}
		for _, o := range rows {
			if err := tx.Include(repo, how, []Object{o}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *graph) exclude(repo string, ns ...int) {
	g.tb.Helper()
	write(g.tb, g.d, func(tx *Tx) error { return tx.Exclude(repo, g.idsOf(ns...)) })
}

// in lists those of ns that are in a repository.
func (g *graph) in(repo string, ns ...int) (in []int) {
	g.tb.Helper()
	for _, n := range ns {
		ok, err := g.d.InRepository(g.tb.Context(), repo, digest(n))
		check(g.tb, err)
		if ok {
			in = append(in, n)
		}
	}
	return in
}

func (g *graph) wantIn(repo string, among, want []int) {
	g.tb.Helper()
	if got := g.in(repo, among...); !slices.Equal(got, want) {
		g.tb.Errorf("%s has %v of %v, want %v", repo, got, among, want)
	}
}

func TestNamesVouchForWhatTheyReach(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.image(20)
	g.held(1)
	g.edge(1, oci.RoleManifest, 10, "")
	all := []int{1, 10, 11, 12, 13, 20, 21, 22, 23}
	g.name("r.example/a:v1", 1)
	g.name("r.example/a/b:v1", 20)
	g.name("r.example/c@"+digest(10).String(), 10)
	g.wantIn("r.example/a", all, []int{1, 10, 11, 12, 13})
	g.wantIn("r.example/a/b", all, []int{20, 21, 22, 23})
	g.wantIn("r.example/c", all, []int{10, 11, 12, 13})
	g.wantIn("r.example", all, nil)
	g.wantIn("r.example/nobody", all, nil)
	// What is doomed is nowhere, and carries nothing.
	g.doom(10)
	g.wantIn("r.example/a", all, []int{1})
	// What is damaged is not held, and is still what the others belong to.
	write(t, g.d, func(tx *Tx) error {
		o, _, err := tx.Object(digest(20))
		if err == nil {
			_, err = tx.MarkDamaged(o)
		}
		return err
	})
	g.wantIn("r.example/a/b", all, []int{21, 22, 23})
}

// Who pushes an index that lists what he lacks does not get it when somebody else
// brings it: not by a name, not by an index around it, not by pushing it again.
func TestWhatWasPushedWithGapsVouchesForNothing(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.held(1, 2)
	g.edge(1, oci.RoleManifest, 10, "")
	g.edge(2, oci.RoleManifest, 1, "")
	g.include("r.example/a", Pushed, 1)
	g.include("r.example/a", Pushed, 2)
	g.name("r.example/a:v1", 1)
	g.name("r.example/a:v2", 2)
	g.wantIn("r.example/a", []int{1, 2, 10, 11, 12, 13}, []int{1, 2})
	g.include("r.example/a", Pushed, 1)
	g.wantIn("r.example/a", []int{1, 2, 10, 11}, []int{1, 2})
	// Now it comes here too, and the parts with it.
	g.include("r.example/a", Pushed, 11, 12, 13)
	g.include("r.example/a", Pushed, 10)
	g.wantIn("r.example/a", []int{1, 2, 10, 11, 12, 13}, []int{1, 2, 10, 11, 12, 13})
	g.include("r.example/b", Mirrored, 1)
	g.wantIn("r.example/b", []int{1, 2, 10, 11, 12, 13}, []int{1, 10, 11, 12, 13})
}

// A push takes nothing from what a repository had.
func TestAPushOfWhatVouchesLeavesItSo(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.held(1)
	g.edge(1, oci.RoleManifest, 10, "")
	g.edge(1, oci.RoleManifest, 30, "") // left out
	g.name("r.example/a:v1", 1)
	g.include("r.example/a", Pushed, 10)
	g.include("r.example/a", Pushed, 1)
	g.wantIn("r.example/a", []int{1, 10, 11, 12, 13}, []int{1, 10, 11, 12, 13})
}

func TestReferrersGoWithTheirSubjectUnlessTheyWereIncludedSomewhere(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.image(40) // about 10
	g.edge(40, oci.RoleSubject, 10, "")
	g.held(50) // about that
	g.edge(50, oci.RoleSubject, 40, "")
	all := []int{40, 41, 42, 43, 50}
	g.name("r.example/a:v1", 10)
	g.include("r.example/b", Pushed, 10)
	g.wantIn("r.example/a", all, all)
	g.wantIn("r.example/b", all, all)
	g.exclude("r.example/a", 40)
	g.wantIn("r.example/a", all, nil)
	g.wantIn("r.example/b", all, all)
	g.include("r.example/a", Pushed, 40)
	g.wantIn("r.example/a", all, []int{40, 50})
	g.wantIn("r.example/b", all, nil)
	// Excluded where it was pushed, it does not become the owner's.
	g.exclude("r.example/a", 40)
	g.wantIn("r.example/a", all, nil)
	g.wantIn("r.example/b", all, nil)
	// What comes again after it was given up is another's.
	g.doom(40)
	g.image(40)
	g.wantIn("r.example/a", all, all)
}

func TestRepositoriesOf(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.image(40)
	g.edge(40, oci.RoleSubject, 10, "")
	g.name("host:5000/a:v1", 10)
	g.name("host:5000/a:v2", 10)
	g.name("r.example/b@"+digest(10).String(), 10)
	g.include("r.example/c", Pushed, 42)
	g.include("r.example/d", Mirrored, 10)
	g.include("r.example/e", Pushed, 11)
	g.exclude("r.example/f", 40)
	var got []string
	read(t, g.d, func(tx *Tx) (err error) {
		got, err = tx.RepositoriesOf(digest(42))
		return err
	})
	if want := []string{"r.example/c", "r.example/d", "host:5000/a", "r.example/b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// version3 makes a catalog as the program before this one left it.
func version3(t *testing.T, dir string) {
	ms, err := schema.Migrations(0)
	check(t, err)
	check(t, sqlScript("PRAGMA journal_mode = WAL; "+ms[0].SQL+ms[1].SQL+ms[2].SQL+fmt.Sprintf(
		"; INSERT INTO meta VALUES ('k', 'v'); PRAGMA application_id = %d; PRAGMA user_version = 3", schema.ApplicationID))(catalogFile(dir)))
}

func TestACatalogOfVersion3GetsRepositories(t *testing.T) {
	dir := t.TempDir()
	version3(t, dir)
	g := &graph{t, openDB(t, dir, Options{}), map[int]int64{}}
	g.image(10)
	g.include("r.example/a", Pushed, 11)
	g.wantIn("r.example/a", []int{10, 11}, []int{11})
	read(t, g.d, func(tx *Tx) error {
		v, _, err := tx.Meta("k")
		if v != "v" {
			t.Errorf("k = %q", v)
		}
		return err
	})
}

// A layer that ten thousand images of other repositories share is the worst that
// a request can ask about.
func BenchmarkInRepository(b *testing.B) {
	g := newGraph(b)
	g.held(1)
	write(b, g.d, func(tx *Tx) error {
		for n := 2; n < 10_002; n++ {
			put, err := tx.PutObjects([]Present{loose(n)})
			if err != nil {
				return err
			}
			if err := tx.PutEdges([]Edge{{put[0].ID, g.ids[1], oci.RoleLayer}}); err != nil {
				return err
			}
			name := fmt.Sprintf("r.example/image%d:v1", n)
			if _, err := tx.SetRef(RefChange{Name: name, New: digest(n), Why: "test"}); err != nil {
				return err
			}
		}
		return nil
	})
	g.include("r.example/pushed", Pushed, 1)
	for repo, want := range map[string]bool{"r.example/pushed": true, "r.example/image2": true, "r.example/image10001": true, "r.example/none": false} {
		b.Run(repo, func(b *testing.B) {
			for b.Loop() {
				if in, err := g.d.InRepository(b.Context(), repo, digest(1)); err != nil || in != want {
					b.Fatal(in, err)
				}
			}
		})
	}
}

func TestWhatIsExcludedOrGoneIsNotIncluded(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.image(20)
	g.edge(20, oci.RoleSubject, 10, "")
	g.include("r.example/a", Pushed, 11)
	g.include("r.example/b", Pushed, 20)
	has := func(repo string) (found bool) {
		read(t, g.d, func(tx *Tx) (err error) {
			found, err = tx.AnyIncluded(repo)
			return err
		})
		return found
	}
	for repo, want := range map[string]bool{"r.example/a": true, "r.example/b": true, "r.example": false} {
		if has(repo) != want {
			t.Errorf("%s: not %v", repo, want)
		}
	}
	g.exclude("r.example/b", 20) // which is remembered
	g.doom(11)
	if has("r.example/a") || has("r.example/b") {
		t.Error("what is not there any more counts")
	}
}
