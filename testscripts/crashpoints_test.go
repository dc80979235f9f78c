package testscripts

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var hookCall = regexp.MustCompile(`(?:[hH]ook\(|appendRecords\(ctx, )"([a-z]+\.[a-z]+)"`)

// pointsOfTheSources finds the points that the sources name, and where.
func pointsOfTheSources(t *testing.T) map[string]string {
	t.Helper()
	points := map[string]string{}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		p, err := os.ReadFile(path)
		for _, m := range hookCall.FindAllStringSubmatch(string(p), -1) {
			points[m[1]] = strings.TrimPrefix(path, "../")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(points) < 40 {
		t.Fatalf("only %d points: are they named otherwise by now?", len(points))
	}
	return points
}

// TestEveryPointIsInTheCrashTable holds the table of docs/ARCHITECTURE.md against
// the sources, both ways.
func TestEveryPointIsInTheCrashTable(t *testing.T) {
	p, err := os.ReadFile("../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(p), "## 6. What a crash leaves")
	if !found {
		t.Fatal("the document has no section about crashes")
	}
	sources := pointsOfTheSources(t)
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z]+\\.[a-z]+)`").FindAllStringSubmatch(table, -1) {
		documented[m[1]] = true
	}
	for point, file := range sources {
		if !documented[point] {
			t.Errorf("%s names the point %s, which is not in the table", file, point)
		}
	}
	for point := range documented {
		if _, ok := sources[point]; !ok && !strings.HasPrefix(point, "catalog.") && !slices.Contains([]string{"store.json", "write.lock"}, point) {
			t.Errorf("the table has the point %s, which no source names", point)
		}
	}
}
