package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
)

// testHome leads every variable that names auth files into a folder of the test's
// own, where there is none yet.
func testHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, sub := range map[string]string{"HOME": "", "USERPROFILE": "", "XDG_CONFIG_HOME": "config", "XDG_RUNTIME_DIR": "run"} {
		t.Setenv(name, filepath.Join(dir, sub))
	}
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("REGISTRY_AUTH_FILE", "")
	return dir
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func silent() Options { return Options{Warn: func(string) {}} }

var ann = credential{username: "ann", password: "new-secret"}

func keepIn(t *testing.T, o Options, host, path string) (Kept, error) {
	t.Helper()
	u, _ := url.Parse("https://" + host)
	return newCredentialFiles(o).keep(t.Context(), u, path, ann)
}

func TestWhichFileALoginWrites(t *testing.T) {
	const (
		run    = "run/containers/auth.json"
		config = "config/containers/auth.json"
		docker = ".docker/config.json"
		other  = `{"auths":{"other.test":{"auth":"YTpi"}}}`
		old    = `{"auths":{"r.test":{"auth":"YTpi"}}}`
	)
	for name, c := range map[string]struct {
		files     map[string]string
		env       [2]string // a variable, and a file in the home
		host      string
		file, key string
	}{
		"none at all":                      {nil, [2]string{}, "r.test", config, "r.test"},
		"none at all, Docker's is named":   {nil, [2]string{"DOCKER_CONFIG", "d"}, "r.test", "d/config.json", "r.test"},
		"the first that is there":          {map[string]string{config: other, docker: other}, [2]string{}, "r.test", config, "r.test"},
		"the one with an entry":            {map[string]string{config: other, docker: old}, [2]string{}, "r.test", docker, "r.test"},
		"the first with an entry":          {map[string]string{run: old, docker: old}, [2]string{}, "r.test", run, "r.test"},
		"an entry for all of the host":     {map[string]string{config: old, docker: `{"auths":{"r.test/team":{}}}`}, [2]string{}, "r.test/team", config, "r.test/team"},
		"the one that is named":            {map[string]string{config: old}, [2]string{"REGISTRY_AUTH_FILE", "mine.json"}, "r.test", "mine.json", "r.test"},
		"as the file spells it":            {map[string]string{docker: `{"auths":{"https://r.test/v2/":{}}}`}, [2]string{}, "r.test", docker, "https://r.test/v2/"},
		"Docker Hub, as Docker has it":     {map[string]string{docker: other}, [2]string{}, "registry-1.docker.io", docker, hubKey},
		"Docker Hub, as others have it":    {map[string]string{config: other}, [2]string{}, "registry-1.docker.io", config, "docker.io"},
		"not the one that cannot be read":  {map[string]string{run: "{", config: other}, [2]string{}, "r.test", config, "r.test"},
		"not the one for another port":     {map[string]string{config: other, docker: `{"auths":{"r.test:8443":{}}}`}, [2]string{}, "r.test", config, "r.test"},
		"not the one for plain HTTP alone": {map[string]string{config: other, docker: `{"auths":{"http://r.test":{}}}`}, [2]string{}, "r.test", config, "r.test"},
	} {
		t.Run(name, func(t *testing.T) {
			home := testHome(t)
			for file, text := range c.files {
				writeFile(t, filepath.Join(home, filepath.FromSlash(file)), text)
			}
			if c.env[0] != "" {
				t.Setenv(c.env[0], filepath.Join(home, c.env[1]))
			}
			host, path, _ := strings.Cut(c.host, "/")
			// That the ordinary look-up finds the new credential is part of keep.
			kept, err := keepIn(t, silent(), host, path)
			want := Kept{Key: c.key, File: filepath.Join(home, filepath.FromSlash(c.file))}
			if err != nil || kept != want {
				t.Errorf("kept in %+v, %v; want %+v", kept, err, want)
			}
			fi, err := os.Stat(want.File)
			if err != nil || (runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600) {
				t.Errorf("%v, %v", fi, err)
			}
		})
	}
}

func TestTheNamedFileBeatsAll(t *testing.T) {
	home := testHome(t)
	writeFile(t, filepath.Join(home, "config/containers/auth.json"), `{"auths":{"r.test":{}},"credsStore":"absent"}`)
	o := silent()
	o.AuthFile = filepath.Join(home, "new", "folder", "mine.json")
	if kept, err := keepIn(t, o, "r.test", ""); err != nil || kept.File != o.AuthFile {
		t.Fatalf("%+v, %v", kept, err)
	}
	if fi, err := os.Stat(filepath.Dir(o.AuthFile)); err != nil || (runtime.GOOS != "windows" && fi.Mode().Perm() != 0o700) {
		t.Fatalf("%v, %v", fi, err)
	}
}

func TestAFileThatIsNoAuthFileStays(t *testing.T) {
	testHome(t)
	o := silent()
	o.AuthFile = writeFile(t, filepath.Join(t.TempDir(), "notes.txt"), "dear diary")
	_, err := keepIn(t, o, "r.test", "")
	wantClass(t, err, content.ErrInvalid)
	if got := readFile(t, o.AuthFile); got != "dear diary" {
		t.Fatalf("it holds %q", got)
	}
}

func TestSymbolicLinksStay(t *testing.T) {
	testHome(t)
	for name, there := range map[string]bool{"to a file": true, "to nowhere yet": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			target := filepath.Join(dir, "real", "auth.json")
			if there {
				writeFile(t, target, `{"auths":{},"keep":"me"}`)
			}
			link := filepath.Join(dir, "link.json")
			if err := os.Symlink(filepath.Join("real", "auth.json"), link); err != nil {
				t.Skip("no symbolic links here")
			}
			o := silent()
			o.AuthFile = link
			if _, err := keepIn(t, o, "r.test", ""); err != nil {
				t.Fatal(err)
			}
			if fi, err := os.Lstat(link); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
				t.Errorf("the link is gone: %v, %v", fi, err)
			}
			if text := readFile(t, target); !strings.Contains(text, "r.test") || strings.Contains(text, "keep") != there {
				t.Errorf("behind it: %s", text)
			}
		})
	}
}

func TestLoginsAtOnceKeepEachOther(t *testing.T) {
	testHome(t)
	o := silent()
	o.AuthFile = filepath.Join(t.TempDir(), "auth.json")
	const n = 20
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, err := keepIn(t, o, "r.test", fmt.Sprint("team", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	file, err := readAuthFile(o.AuthFile)
	if err != nil || len(file.Auths) != n {
		t.Fatalf("%d entries, want %d; %v", len(file.Auths), n, err)
	}
	if left, _ := filepath.Glob(o.AuthFile + "*"); len(left) != 1 && runtime.GOOS != "windows" {
		t.Errorf("left behind: %q", left)
	}
}

// Whatever step fails, and if the power goes with it, the file has its old content
// or its new one.
func TestAFailureLeavesTheOldFile(t *testing.T) {
	before := `{"auths":{"other.test":{"auth":"YTpi"}}}`
	whole := func(text string) bool {
		return text == before || strings.Contains(text, `"other.test":{"auth":"YTpi"},"r.test": {"auth":"YTpj"}`)
	}
	for n := 1; ; n++ {
		dir := t.TempDir()
		path := writeFile(t, filepath.Join(dir, "auth.json"), before)
		disk, err := fsystest.New(fsys.OS(), dir)
		if err != nil {
			t.Fatal(err)
		}
		step := 0
		disk.Hook(func(op fsystest.Op, _ string) error {
			if op == fsystest.OpClose {
				return nil
			}
			if step++; step == n {
				for _, loss := range []fsystest.Loss{fsystest.Truncated, fsystest.Zeroed, fsystest.Keep} {
					after := t.TempDir()
					if err := disk.Crash(after, loss); err != nil {
						t.Error(err)
					}
					if got := readFile(t, filepath.Join(after, "auth.json")); !whole(got) {
						t.Errorf("power cut at step %d: %q", n, got)
					}
				}
				disk.Halt()
				return fsystest.ErrHalted
			}
			return nil
		})
		f := &credentialFiles{disk: disk}
		err = f.rewrite(context.Background(), path, func(old []byte) ([]byte, error) {
			return setAuths(old, []string{"r.test"}, []byte(`{"auth":"YTpj"}`))
		})
		got := readFile(t, path)
		if !whole(got) {
			t.Fatalf("after step %d: %q", n, got)
		}
		if step < n {
			if err != nil || got == before || n < 6 {
				t.Fatalf("nothing failed in %d steps: %v", step, err)
			}
			return
		}
		if err == nil && got == before {
			t.Fatalf("step %d failed unsaid", n)
		}
		// What a dead process left is in nobody's way.
		if err := (&credentialFiles{disk: fsys.OS()}).rewrite(t.Context(), path, func([]byte) ([]byte, error) { return []byte(`{}`), nil }); err != nil {
			t.Fatalf("after step %d: %v", n, err)
		}
	}
}

func TestAHeldLockIsWaitedForUntilTheContextEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.json")
	held, err := fsys.OS().OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = held.Lock(t.Context(), true)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &credentialFiles{disk: fsys.OS()}
	if err := f.rewrite(ctx, path, func([]byte) ([]byte, error) { return []byte(`{}`), nil }); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.rewrite(t.Context(), path, func([]byte) ([]byte, error) { return []byte(`{}`), nil }); err != nil {
		t.Fatal(err)
	}
}

func TestPortsAreKeptApart(t *testing.T) {
	file := `{"auths":{"a.test:443":{"username":"tls","password":"p"},"b.test:80":{"username":"plain","password":"p"},"https://c.test:443":{"username":"c","password":"p"}}}`
	for at, user := range map[string]string{
		"https://a.test": "tls", "http://a.test": "", "http://a.test:443": "tls",
		"http://b.test": "plain", "https://b.test": "", "https://b.test:80": "plain",
		"https://c.test": "c", "http://c.test": "", "http://c.test:443": "",
	} {
		if got := lookupIn(t, file, at, "x"); got.username != user {
			t.Errorf("%s: user %q, want %q", at, got.username, user)
		}
	}
}
