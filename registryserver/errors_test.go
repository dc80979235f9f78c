package registryserver

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"dist.example/content"
)

// specified are the codes of distribution-spec 1.1.1.
var specified = []code{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
	"MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED",
	"UNSUPPORTED", "TOOMANYREQUESTS",
}

// Every code that errors.go has is the specification's, but for the one of errors
// that nobody has foreseen, and that is for no 4XX.
func TestCodesAreOfTheSpecification(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !isCode(spec.Type) {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		if c := code(value); c != codeUnknown && !slices.Contains(specified, c) {
			t.Errorf("%s is no code of the specification", c)
		}
		return true
	})
	if found < 10 {
		t.Errorf("errors.go has %d codes", found)
	}
	for _, c := range classes {
		if c.code == codeUnknown {
			t.Errorf("%v is answered with %s", c.class, c.code)
		}
	}
	if p := explain(content.ErrCorrupt); p.code == codeUnknown && p.status < 500 {
		t.Errorf("%d has the code %s", p.status, p.code)
	}
}

func isCode(typ ast.Expr) bool {
	id, ok := typ.(*ast.Ident)
	return ok && id.Name == "code"
}
