package testscripts

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// fixtures makes files and a registry that workloads share, and says what $NAME
// stands for in their arguments. Nothing changes them.
func fixtures(t *testing.T) map[string]string {
	dir := t.TempDir()
	write := func(name string, p []byte) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	large := registrytest.Bytes(100, 1<<20)
	tiny, small, middle := registrytest.Bytes(1, 100<<10), registrytest.Bytes(101, 1000), registrytest.Bytes(4, 1200<<10)
	write("small", small)
	write("large", large)
	write("text", bytes.Repeat([]byte("the same words over and over\n"), 20_000))
	write("part", large[:700<<10])
	write("other", append(bytes.Clone(large[:600<<10]), registrytest.Bytes(104, 424<<10)...))
	write("folder/a", registrytest.Bytes(102, 2000))
	write("folder/b/c", registrytest.Bytes(103, 400<<10))
	var tarred bytes.Buffer
	if _, err := layer.Write(t.Context(), &tarred, filepath.Join(dir, "folder"), layer.Options{Compression: layer.None}); err != nil {
		t.Fatal(err)
	}
	tar := tarred.Bytes()
	write("tar", tar)
	var list strings.Builder
	for i := range 12 {
		name := fmt.Sprintf("many/%d", i)
		write(name, registrytest.Bytes(uint64(110+i), 500+i%4/3*(400<<10)))
		fmt.Fprintln(&list, filepath.Join(dir, name))
	}
	write("list", []byte(list.String()))
	write("huge", nil)
	if err := os.Truncate(filepath.Join(dir, "huge"), 65<<20); err != nil { // beyond one checkpoint
		t.Fatal(err)
	}
	reg := registrytest.New(t, registrytest.Options{})
	app1 := reg.PushImage("app:v1", tiny, registrytest.Bytes(2, 300<<10), registrytest.Bytes(3, 400<<10), middle)
	reg.PushImage("app:v2", registrytest.Bytes(1, 100<<10), registrytest.Bytes(5, 10_000))
	reg.PushPlatforms("multi:v1", "linux/amd64", "linux/arm64")
	return map[string]string{
		"F": dir, "PULL": reg.Host, "TAR": digestOf(tar), "LARGE": digestOf(large), "SMALL": digestOf(small), "MIDDLE": digestOf(middle),
		"APP1": app1.Digest.String(),
	}
}

// call is a command without input that ends well.
func call(args ...string) command { return command{args: args} }

// workloads are commands for all that writes to a store.
func workloads() []workload {
	return slices.Concat(putting(), ingesting(), moving(), importing(), keeping(), healing(), collecting(), preserving())
}

func made(b *box) { b.dist("init") }

// putting are workloads that bring content from files.
func putting() []workload {
	return []workload{
		{name: "init", command: call("init", "--store", "store"), quiet: true},
		{name: "put into no store", command: call("put", "$F/small")},
		{name: "put beside a tail", prepare: func(b *box) {
			b.dist("put", "$F/small")
			b.dies("pack.synced", call("put", "$F/many/0"))
		}, command: call("put", "$F/many/1")},
		{name: "put large", prepare: made, command: command{args: []string{"put"}, stdin: "$F/large"}},
		{name: "put beyond a checkpoint", prepare: made, command: command{args: []string{"put"}, stdin: "$F/huge"}, only: []string{"ingest.", "loose.sealed"}},
		{name: "put over an orphan", prepare: func(b *box) {
			b.dies("loose.durable", call("put", "$F/large"))
		}, command: call("put", "$F/large"), only: []string{"loose.", "ingest."}},
		{name: "put what a pack has", prepare: func(b *box) { b.dist("put", "-t", "text", "$F/text") }, command: call("put", "$F/text"), only: []string{"loose."}},
		{name: "put what is not expected", prepare: made, command: command{args: []string{"put", "--expected-digest", "$SMALL", "$F/large"}, exit: 4}, only: []string{"ingest.", "lease.", "db.commit"}},
		{name: "put many", prepare: made, command: command{args: []string{"put", "--batch"}, stdin: "$F/list"}},
		{name: "put past a long log", prepare: long, command: command{args: []string{"put", "--batch"}, stdin: "$F/list"}, only: []string{"db.checkpoint"}},
		{name: "put what is damaged", prepare: func(b *box) {
			rotten(b)
			b.ok(command{args: []string{"get", "-o", "out", "$LARGE"}, exit: 4})
		}, damaged: true, command: call("put", "$F/large"), only: []string{"loose.", "db.commit"}},
		{name: "pack", prepare: func(b *box) { b.dist("put", "-t", "layer", "$F/tar") }, command: call("pack", "demo/app:v1", "$F/folder", "$TAR")},
		{name: "squash", prepare: func(b *box) { b.dist("pack", "demo/app:v1", "$F/folder", "$F/tar") }, command: call("squash", "demo/app:v1")},
		{name: "repack", prepare: func(b *box) {
			b.dist("pack", "--platform", "linux/amd64", "demo/app:v1", "$F/folder", "$F/tar")
			b.dist("unpack", "--platform", "linux/amd64", "demo/app:v1", "out")
			b.must(os.WriteFile(filepath.Join(b.dir, "out", "added"), []byte("new"), 0o644))
		}, command: call("repack", "--base", "demo/app:v1", "out", "demo/app:v2")}, // boxes are copies, of which no record is
		{name: "unpack snapshots", prepare: func(b *box) { b.dist("pack", "demo/app:v1", "$F/folder", "$F/tar") }, command: call("unpack", "--snapshots", "demo/app:v1", "out"), again: []int{8}, only: []string{"unpack.", "snapshot.", "hold.", "db.commit"}},
		{name: "unpack", prepare: func(b *box) { b.dist("pack", "demo/app:v1", "$F/folder", "$F/tar") }, command: call("unpack", "demo/app:v1", "out"), again: []int{8}, only: []string{"unpack.", "hold."}},
	}
}

// ingesting are workloads with keys.
func ingesting() []workload {
	ingest := func(file string) command {
		return command{args: []string{"ingest", "--expected-size", "1048576", "the key"}, stdin: file}
	}
	begun := func(b *box) {
		c := ingest("$F/part")
		c.exit = 4 // it keeps the part
		b.ok(c)
	}
	return []workload{
		{name: "ingest into no store", command: ingest("$F/large"), only: []string{"store.", "ingest.", "loose."}},
		{name: "ingest with a part", prepare: begun, command: ingest("$F/large")},
		{name: "ingest something else", prepare: begun, command: ingest("$F/other"), only: []string{"ingest.", "db.commit"}},
		{name: "ingest a part", prepare: made, command: command{args: ingest("").args, stdin: "$F/part", exit: 4}},
		{name: "abort", prepare: begun, command: call("active", "--abort", "the key"), again: []int{3}},
	}
}

// long is a store whose write-ahead log is about to be written back.
func long(b *box) {
	c := client.New(client.Options{Store: b.store()})
	defer c.Close()
	s, err := c.Init(b.t.Context())
	b.must(err)
	ses, err := s.Begin(b.t.Context(), blobstore.SessionOptions{Note: "test", Keep: time.Hour})
	b.must(err)
	defer ses.Close()
	for i := range uint64(1000) {
		if fi, err := os.Stat(filepath.Join(b.store(), "catalog.db-wal")); err == nil && fi.Size() > 990*4096 {
			return
		}
		_, err := ses.Put(b.t.Context(), blobstore.Blob{Data: registrytest.Bytes(1000+i, 100)})
		b.must(err)
		b.must(ses.Flush(b.t.Context()))
	}
	b.t.Fatal("the log does not grow")
}

// healing are workloads of check.
func healing() []workload {
	named := func(b *box) {
		b.dist("pull", "$PULL/app:v1")
		b.dist("put", "$F/small")
	}
	check := command{args: []string{"check"}, exit: 4}
	return []workload{
		{name: "check a lost header", prepare: func(b *box) {
			named(b)
			b.flip("packs/1.pack", func([]byte) int { return 20 })
		}, damaged: true, command: check, again: []int{0}, quiet: true, only: []string{"mend."}},
		{name: "check a lost note", prepare: func(b *box) {
			named(b)
			b.flip("packs/1.pack", func(p []byte) int { return bytes.LastIndex(p, []byte(`"name":`)) })
		}, damaged: true, command: check, again: []int{0}, quiet: true},
		{name: "rebuild without a catalog", prepare: named, lose: func(b *box) {
			for _, end := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(filepath.Join(b.store(), "catalog.db"+end))
			}
		}, command: call("check", "--rebuild"), quiet: true},
		{name: "rebuild a torn catalog", prepare: named, lose: func(b *box) {
			b.must(os.Truncate(filepath.Join(b.store(), "catalog.db"), 5000))
		}, command: call("check", "--rebuild"), quiet: true},
		{name: "rebuild without store.json", prepare: named, lose: func(b *box) {
			b.must(os.Remove(filepath.Join(b.store(), "store.json")))
		}, command: call("check", "--rebuild"), quiet: true, only: []string{"rebuild."}},
		{name: "rebuild for nothing", prepare: named, lose: func(*box) {}, command: call("check", "--rebuild"), quiet: true, only: []string{"rebuild."}},
	}
}

// collecting are workloads of gc.
func collecting() []workload {
	// A store with something to be collected of every kind, and something that stays.
	littered := func(b *box) {
		b.dist("pull", "$PULL/app:v1", "$PULL/app:v2")
		b.dist("put", "$F/large")
		b.dist("remove", "$PULL/app:v2")
		b.dist("delete", "$LARGE")
		b.dies("loose.durable", call("put", "$F/large"))
	}
	all := call("gc", "--grace", "0s", "--keep-history", "0s", "--compact")
	kept := func(b *box) {
		b.dist("pack", "demo/app:v1", "$F/folder", "$F/tar")
		b.dies("snapshot.synced", call("unpack", "--snapshots", "demo/app:v1", "out"))
		b.dist("unpack", "--snapshots", "demo/app:v1", "out")
	}
	return []workload{
		{name: "gc snapshots", prepare: kept, command: call("gc", "--snapshots", "--grace", "0s"), quiet: true, only: []string{"gc.snapshot", "gc.removed", "db.commit"}},
		{name: "gc", prepare: littered, command: all, quiet: true, only: []string{"gc.", "db.commit", "pack."}},
	}
}

// preserving are workloads of backup, restore and compact.
func preserving() []workload {
	named := func(b *box) {
		b.dist("pull", "$PULL/app:v1")
		b.dist("put", "$F/small")
	}
	saved := func(b *box) {
		named(b)
		b.dist("store", "backup", "backup.tar")
	}
	return []workload{
		{name: "back up", prepare: named, command: call("store", "backup", "backup.tar"), only: []string{"backup."}},
		{name: "back up to a folder", prepare: func(b *box) {
			named(b)
			b.dist("store", "backup", "backup/")
			b.dist("pull", "$PULL/app:v2")
		}, command: call("store", "backup", "backup/"), quiet: true, proof: []string{"--store", "backup", "check"}, only: []string{"backup."}},
		{name: "restore a lost store", prepare: saved, lose: func(b *box) {
			b.must(os.RemoveAll(b.store()))
		}, command: call("store", "restore", "backup.tar"), quiet: true, again: []int{8}, only: []string{"restore.", "rebuild."}},
		{name: "restore over a store", prepare: func(b *box) {
			saved(b)
			b.dist("pull", "$PULL/app:v2")
		}, lose: func(b *box) {
			b.must(os.Remove(b.blob("$MIDDLE")))
			b.flip("packs/1.pack", func([]byte) int { return 140 })
		}, damaged: true, command: call("store", "restore", "--force", "backup.tar"), quiet: true, only: []string{"restore.", "rebuild."}},
		{name: "compact", prepare: func(b *box) {
			named(b)
			b.sql("CREATE TABLE filler (p)", "INSERT INTO filler VALUES (zeroblob(1000000))", "DROP TABLE filler") // else not enough is free
		}, command: call("store", "compact"), quiet: true, only: []string{"db.vacuumed", "db.checkpoint"}},
	}
}

// sql changes the catalog, past all that watches over it.
func (b *box) sql(statements ...string) {
	db, err := sql.Open("sqlite", filepath.Join(b.store(), "catalog.db"))
	b.must(err)
	defer db.Close()
	for _, statement := range statements {
		_, err := db.Exec(statement)
		b.must(err)
	}
}

// flip changes a byte of a file of the store.
func (b *box) flip(name string, at func(p []byte) int) {
	name = filepath.Join(b.store(), name)
	fi, err := os.Stat(name)
	b.must(err)
	p, err := os.ReadFile(name)
	b.must(err)
	p[at(p)] ^= 1
	b.must(os.Chmod(name, 0o644))
	b.must(os.WriteFile(name, p, 0o644))
	b.must(os.Chmod(name, fi.Mode().Perm()))
}

// rotten is a store whose large blob has a wrong byte, which nobody has seen yet.
func rotten(b *box) {
	b.dist("put", "$F/large")
	name, err := filepath.Rel(b.store(), b.blob("$LARGE"))
	b.must(err)
	b.flip(name, func([]byte) int { return 1000 })
}

// moving are workloads between registry and store.
func moving() []workload {
	pulled := func(b *box) { b.dist("pull", "$PULL/app:v1") }
	return []workload{
		{name: "pull", prepare: made, command: call("pull", "$PULL/app:v1"), quiet: true},
		{name: "pull an index into no store", command: call("pull", "--all-platforms", "$PULL/multi:v1"), quiet: true, only: []string{"pull.", "store.", "pack."}},
		{name: "pull a newer one", prepare: func(b *box) {
			b.dist("pull", "$PULL/app:v2")
			b.dist("tag", "$PULL/app:v2", "$PULL/app:v1")
		}, command: call("pull", "$PULL/app:v1"), quiet: true, only: []string{"pull.", "names.", "db.commit"}},
		{name: "pull what was ended late", prepare: func(b *box) {
			b.dies("ingest.done", call("pull", "$PULL/app:v1"))
			b.must(os.Remove(b.blob("$MIDDLE")))
		}, damaged: true, command: call("pull", "--verify", "$PULL/app:v1"), quiet: true, only: []string{"ingest.", "loose.", "damage."}},
		{name: "push", prepare: pulled, command: call("push", "-r", "$PUSH", "$PULL/app:v1"), quiet: true},
		{name: "copy", prepare: pulled, command: call("copy", "store:$PULL/app:v1", "$PUSH/copied:v1"), quiet: true, only: []string{"copy.", "hold."}},
		{name: "sync", prepare: pulled, command: call("sync", "$PULL/app:v1", "--to", "$PUSH/synced"), quiet: true, only: []string{"sync."}},
		{name: "fetch", prepare: made, command: call("fetch", "$PULL/app:v1"), quiet: true, only: []string{"pull."}},
		{name: "export", prepare: pulled, command: call("export", "$PULL/app:v1", "-o", "out.tar"), proof: []string{"pull", "--store", "other", "oci-archive:out.tar"}, only: []string{"export.", "hold."}},
		{name: "export volumes", prepare: pulled, command: call("export", "$PULL/app:v1", "--split", "1M", "-o", "out.tar"), proof: []string{"pull", "--store", "other", "bundle:out.tar.001"}, only: []string{"export."}},
		{name: "export a folder", prepare: pulled, command: call("export", "$PULL/app:v1", "-o", "out/"), proof: []string{"pull", "--store", "other", "oci:out"}, only: []string{"export."}},
	}
}

// importing are workloads that bring bundles from files.
func importing() []workload {
	exported := func(b *box, args ...string) {
		b.dist("--store", "sender", "pull", "--all-platforms", "$PULL/app:v1", "$PULL/multi:v1")
		b.dist(append([]string{"--store", "sender", "export", "--all"}, args...)...)
		b.must(os.RemoveAll(filepath.Join(b.dir, "sender")))
		made(b)
	}
	points := []string{"import.", "ingest.", "names."}
	return []workload{
		{name: "import", prepare: func(b *box) { exported(b, "-o", "site.tar") }, command: call("import", "site.tar"), quiet: true, only: points},
		{name: "import a stream", prepare: func(b *box) { exported(b, "--compress", "gzip", "-o", "site.tar.gz") }, command: call("import", "site.tar.gz"), quiet: true, only: points},
		{name: "import volumes", prepare: func(b *box) {
			exported(b, "--split", "700K", "-o", "site.tar")
		}, command: call("import", "site.tar.001", "site.tar.002", "site.tar.003", "site.tar.004"), quiet: true, only: points},
		{name: "import the first volume last", prepare: func(b *box) {
			exported(b, "--split", "700K", "-o", "site.tar")
			b.ok(command{args: []string{"import", "site.tar.004", "site.tar.003", "site.tar.002"}, exit: 10})
		}, command: call("import", "site.tar.001"), quiet: true, only: points},
		{name: "import a volume", prepare: func(b *box) {
			exported(b, "--split", "700K", "-o", "site.tar")
			b.ok(command{args: []string{"import", "site.tar.001"}, exit: 10})
		}, command: command{args: []string{"import", "site.tar.003"}, exit: 10}, quiet: true, only: points},
		{name: "import a delta without its base", prepare: func(b *box) {
			b.dist("--store", "sender", "pull", "$PULL/app:v1")
			b.dist("--store", "sender", "export", "--all", "--name", "site", "-o", "site.tar")
			b.dist("--store", "sender", "pull", "$PULL/app:v2")
			exported(b, "--since", "site", "-o", "delta.tar")
		}, command: command{args: []string{"import", "delta.tar"}, exit: 11}, quiet: true, only: []string{"import.kept", "import.blob"}},
	}
}

// keeping are workloads with what a store has.
func keeping() []workload {
	pulled := func(b *box) { b.dist("pull", "$PULL/app:v1") }
	both := func(b *box) { b.dist("pull", "$PULL/app:v1", "$PULL/app:v2") }
	return []workload{
		{name: "tag", prepare: both, command: call("tag", "$PULL/app:v2", "$PULL/app:v1")},
		{name: "undo", prepare: func(b *box) { b.dist("pack", "demo/app:v1", "$F/folder") }, command: call("undo"), again: []int{3}},
		{name: "remove", prepare: both, command: call("remove", "$PULL/app:v2", "$PULL/app:v1"), again: []int{3}},
		{name: "migrate", prepare: func(b *box) {
			pulled(b)
			b.must(os.Remove(filepath.Join(b.store(), "write.lock"))) // whose witness would know better
			b.sql("DROP TABLE snapshots", "DROP TABLE layer_indexes", "DROP TABLE bundles", "DROP TABLE sites", "DROP TABLE inventories", "DROP TABLE inventory_blocks", "DROP TABLE inventory_names",
				"CREATE TABLE sites (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, receipt BLOB, updated INTEGER NOT NULL) STRICT",
				"CREATE TABLE site_objects (site INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (site, digest)) STRICT, WITHOUT ROWID",
				"DROP INDEX objects_loose", "DROP INDEX ref_log_old", "ALTER TABLE ref_log DROP COLUMN unpinned", "DROP TABLE search", "DROP TABLE search_facts", "ALTER TABLE refs DROP COLUMN pinned", "ALTER TABLE refs DROP COLUMN used", "DROP TABLE head", "DROP TABLE base", "DROP TABLE looks",
				"DROP TABLE repositories", "DROP TABLE repository_objects", "DROP INDEX edges_to_subjects", "DROP TABLE sightings", "PRAGMA user_version = 1")
		}, command: call("tag", "$APP1", "demo/app:v1"), only: []string{"db."}},
		{
			name: "site update", prepare: func(b *box) {
				both(b)
				b.dist("site", "add", "here")
				b.dist("site", "receipt", "-o", "old.receipt")
				b.dist("site", "update", "here", "old.receipt")
				b.dist("remove", "$PULL/app:v2")
				b.dist("site", "receipt", "-o", "new.receipt")
			}, command: call("site", "update", "here", "new.receipt"), proof: []string{"site", "show", "here"},
			only: []string{"inventory.", "site.", "names."},
		},
		{name: "sign", prepare: func(b *box) {
			pulled(b)
			b.dist("key", "generate", "--no-passphrase")
		}, command: call("sign", "-q", "$PULL/app:v1"), proof: []string{"verify", "--key", "default", "$PULL/app:v1"}, only: []string{"sign.", "names.", "commit."}},
		{
			name: "pack and sign", prepare: func(b *box) { b.dist("key", "generate", "--no-passphrase") },
			command: call("pack", "-t", "artifact", "demo/signed:v1", "small=$F/small"), proof: []string{"verify", "--key", "default", "demo/signed:v1"}, only: []string{"sign.", "packing.", "names."},
		},
		{name: "delete", prepare: both, command: call("delete", "$APP1", "$MIDDLE")},
		{name: "path", prepare: func(b *box) { b.dist("put", "$F/small") }, command: call("path", "$SMALL")},
		{name: "get", prepare: pulled, command: call("get", "-o", "out", "$MIDDLE")},
		{name: "get files", prepare: func(b *box) {
			b.dist("pack", "-t", "artifact", "demo/files:v1", "small=$F/small", "$F/folder")
		}, command: call("get", "--files", "out", "demo/files:v1"), again: []int{8}, only: []string{"files."}},
		{name: "get what is damaged", prepare: rotten, damaged: true, unhealed: true, command: command{args: []string{"get", "-o", "out", "$LARGE"}, exit: 4}},
	}
}

func digestOf(p []byte) string { return oci.DigestBytes(p).String() }
