package floors

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "dist.example"

// row is one package: its floor, the third-party modules it alone (or with the
// other rows that say so) may import, and packages of its own floor that it may
// import nevertheless.
type row struct {
	name   string
	floor  int
	owns   []string
	beside []string
}

// table is the house, from the ground up.
var table = []row{
	{name: "oci", floor: 0, owns: []string{
		"github.com/opencontainers/image-spec", "github.com/opencontainers/go-digest",
		"github.com/distribution/reference", "github.com/containerd/platforms",
	}},
	{name: "schema", floor: 0},

	{name: "content", floor: 1},
	{name: "content/contenttest", floor: 1, beside: []string{"content"}},
	// File operations report the classes of errors that content defines.
	{name: "fsys", floor: 1, owns: []string{"golang.org/x/sys"}, beside: []string{"content"}},
	{name: "fsys/fsystest", floor: 1, beside: []string{"content", "fsys"}},
	// Locked files, and the classes of errors.
	{name: "budgets", floor: 1, beside: []string{"content", "fsys"}},

	{name: "db", floor: 2, owns: []string{"modernc.org/sqlite", "modernc.org/libc"}},
	{name: "blobstore/pack", floor: 2, owns: []string{"github.com/klauspost/compress"}},
	{name: "layer", floor: 2, owns: []string{"github.com/klauspost/compress"}},
	{name: "plugin", floor: 2},
	{name: "sign", floor: 2, owns: []string{"github.com/sigstore/sigstore", "github.com/secure-systems-lab/go-securesystemslib"}},
	{name: "registryclient", floor: 2, owns: []string{"github.com/BurntSushi/toml"}},

	{name: "unpack", floor: 3, owns: []string{"github.com/opencontainers/runtime-spec"}},
	{name: "blobstore", floor: 3},
	{name: "blobstore/memory", floor: 3},
	{name: "bundle", floor: 3, owns: []string{"github.com/ulikunitz/xz"}},
	{name: "registryserver/access", floor: 3, owns: []string{"golang.org/x/crypto"}},

	{name: "gc", floor: 4},
	{name: "registryserver", floor: 4},
	{name: "registryserver/registrytest", floor: 4, beside: []string{"registryserver"}},
	{name: "registryserver/conformance", floor: 4},
	{name: "registryserver/mirror", floor: 4, beside: []string{"registryserver"}},
	// The paths of repositories.
	{name: "registryserver/pages", floor: 4, beside: []string{"registryserver"}},

	{name: "client", floor: 5, owns: []string{"github.com/Masterminds/semver/v3", "go.yaml.in/yaml/v3"}},

	{name: "cmd", floor: 6, owns: []string{"github.com/alecthomas/kong", "golang.org/x/term"}},

	{name: "cmd/dist", floor: 7},
	{name: "cmd/dist-transport-dir", floor: 7},
	{name: "internal/picture", floor: 7},
	{name: "internal/release", floor: 7},

	// These hold tests alone and stand on top of everything.
	{name: "testscripts", floor: 8, owns: []string{"github.com/rogpeppe/go-internal", "github.com/itchyny/gojq"}},
	{name: "internal/floors", floor: 8},
}

// shared are the modules that everyone may import.
var shared = []string{"golang.org/x/sync"}

// instruments are what external tests import from any floor: packages for tests,
// and the store that they run over.
var instruments = []string{"blobstore/memory", "content/contenttest", "fsys/fsystest", "registryserver/registrytest", "registryserver/conformance"}

// source is one Go file as far as this test is concerned.
type source struct {
	path     string
	pkg      string // the folder's path in the module
	external bool   // of a package …_test
	imports  []string
}

func TestImportsPointDown(t *testing.T) {
	files := parseModule(t)
	for _, v := range violations(table, files) {
		t.Error(v)
	}
}

// violations lists, in the order of the files, what is against the table.
func violations(table []row, files []source) []string {
	rows := map[string]row{}
	unseen := map[string]bool{}
	for _, r := range table {
		rows[r.name], unseen[r.name] = r, true
	}
	var found []string
	for _, f := range files {
		delete(unseen, f.pkg)
		r, ok := rows[f.pkg]
		if !ok {
			found = append(found, fmt.Sprintf("%s: package %q stands on no floor: give it a row", f.path, f.pkg))
			continue
		}
		for _, imp := range f.imports {
			if why := judge(rows, r, f, imp); why != "" {
				found = append(found, fmt.Sprintf("%s: %s", f.path, why))
			}
		}
	}
	for _, r := range table {
		if unseen[r.name] {
			found = append(found, fmt.Sprintf("the table has a row for %q, which is not there", r.name))
		}
	}
	return found
}

// judge says what is wrong with one import, or "".
func judge(rows map[string]row, r row, f source, imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	name, inside := strings.CutPrefix(imp, module+"/")
	switch {
	case !strings.Contains(first, "."):
		return "" // the standard library
	case !inside:
		return judgeModule(rows, r, imp)
	case name == f.pkg && f.external:
		return ""
	case f.external && slices.Contains(instruments, name):
		return ""
	}
	to, ok := rows[name]
	switch {
	case !ok:
		return fmt.Sprintf("%s imports %s, which stands on no floor", r.name, name)
	case to.floor < r.floor, slices.Contains(r.beside, name):
		return ""
	}
	return fmt.Sprintf("%s (floor %d) imports %s (floor %d)", r.name, r.floor, name, to.floor)
}

// judgeModule asks who owns a third-party import.
func judgeModule(rows map[string]row, r row, imp string) string {
	of := func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") }
	if slices.ContainsFunc(shared, of) || slices.ContainsFunc(r.owns, of) {
		return ""
	}
	var owners []string
	for _, other := range rows {
		if slices.ContainsFunc(other.owns, of) {
			owners = append(owners, other.name)
		}
	}
	if owners == nil {
		return fmt.Sprintf("%s imports %s, which nobody owns", r.name, imp)
	}
	slices.Sort(owners)
	return fmt.Sprintf("%s imports %s, which belongs to %s", r.name, imp, strings.Join(owners, " and "))
}

// parseModule reads the imports of every Go file of the module, for all systems.
func parseModule(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the module's root is not where it was: %v", err)
	}
	var files []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != root && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(p) != ".go":
			return nil
		}
		f, err := parseFile(root, p)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parseFile(root, p string) (source, error) {
	ast, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return source{}, err
	}
	rel = filepath.ToSlash(rel)
	f := source{path: rel, pkg: path.Dir(rel), external: strings.HasSuffix(ast.Name.Name, "_test") && strings.HasSuffix(rel, "_test.go")}
	for _, spec := range ast.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		f.imports = append(f.imports, imp)
	}
	return f, nil
}

// The test above is worth as much as what it notices.
func TestViolationsAreNoticed(t *testing.T) {
	rows := []row{
		{name: "ground", floor: 0, owns: []string{"example.org/lib"}},
		{name: "mid", floor: 1},
		{name: "mid/child", floor: 1, beside: []string{"mid"}},
		{name: "content/contenttest", floor: 1},
		{name: "top", floor: 2},
	}
	for _, c := range []struct {
		pkg      string
		external bool
		imp      string
		want     string // "" is allowed
	}{
		{"mid", false, "fmt", ""},
		{"mid", false, "dist.example/ground", ""},
		{"mid", false, "dist.example/top", "mid (floor 1) imports top (floor 2)"},
		{"mid", false, "dist.example/mid/child", "mid (floor 1) imports mid/child (floor 1)"},
		{"mid/child", false, "dist.example/mid", ""},
		{"top", false, "dist.example/elsewhere", "stands on no floor"},
		{"unheard/of", false, "fmt", `package "unheard/of" stands on no floor`},
		{".", false, "fmt", `package "." stands on no floor`},
		{"ground", false, "example.org/lib/part", ""},
		{"ground", false, "example.org/library", "which nobody owns"},
		{"mid", false, "example.org/lib", "which belongs to ground"},
		{"mid", false, "golang.org/x/sync/errgroup", ""},
		{"mid", true, "dist.example/mid", ""},
		{"mid", true, "dist.example/top", "mid (floor 1) imports top (floor 2)"},
		{"ground", true, "dist.example/content/contenttest", ""},
		{"ground", false, "dist.example/content/contenttest", "ground (floor 0) imports content/contenttest (floor 1)"},
		{"mid", true, "example.org/lib", "which belongs to ground"},
	} {
		// A file of every package keeps the complaint about missing ones out.
		files := []source{{path: c.pkg + "/x.go", pkg: c.pkg, external: c.external, imports: []string{c.imp}}}
		for _, r := range rows {
			files = append(files, source{pkg: r.name})
		}
		got := strings.Join(violations(rows, files), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s importing %s: %q, want %q", c.pkg, c.imp, got, c.want)
		}
	}
	if got := violations(rows, nil); len(got) != len(rows) {
		t.Errorf("packages that are gone: %q", got)
	}
}
