package floors

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// sharedHTTP are the names of net/http that stand for http.DefaultTransport, one for
// the whole process.
var sharedHTTP = []string{"DefaultTransport", "DefaultClient", "Get", "Head", "Post", "PostForm"}

// No code of the module, tests least of all, uses http.DefaultTransport: whoever
// closes its idle connections, as every httptest.Server does when it ends, breaks
// requests of others.
func TestNobodySharesATransport(t *testing.T) {
	for _, f := range parseModule(t) {
		files := token.NewFileSet()
		tree, err := parser.ParseFile(files, filepath.Join("..", "..", filepath.FromSlash(f.path)), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, pos := range usesOfSharedHTTP(tree) {
			t.Errorf("%s uses net/http's transport for everybody; make one", files.Position(pos))
		}
	}
}

func usesOfSharedHTTP(tree *ast.File) []token.Pos {
	var found []token.Pos
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(sharedHTTP, s.Sel.Name) {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "http" {
				found = append(found, s.Pos())
			}
		}
		return true
	})
	return found
}

func TestASharedTransportIsNoticed(t *testing.T) {
	const code = `package p
func f() {
	http.Get("http://a.example")
	c := http.Client{Transport: http.DefaultTransport}
	c.Get("http://a.example")
	_ = http.MethodGet
}`
	tree, err := parser.ParseFile(token.NewFileSet(), "p.go", code, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(usesOfSharedHTTP(tree)); n != 2 {
		t.Errorf("%d uses are seen, want 2", n)
	}
}
