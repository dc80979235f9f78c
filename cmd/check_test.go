package cmd

import (
	"errors"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
)

func TestWhatACheckSumsUp(t *testing.T) {
	many := client.CheckReport{Catalog: make([]string, 1001), Faults: 5000}
	newer := client.CheckReport{Newer: []string{"x"}}
	both := client.CheckReport{Newer: []string{"x"}, Damaged: []client.Damage{{}}}
	for _, c := range []struct {
		report client.CheckReport
		class  error
		text   string
	}{
		{many, content.ErrCorrupt, "5000 faults of the catalog"},
		{newer, content.ErrUnsupported, "of a newer version"},
		{both, content.ErrCorrupt, "1 damaged object"},
	} {
		err := checkError(c.report)
		if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.text) || content.Hint(err) == "" {
			t.Errorf("%v (%s), want %s", err, content.Hint(err), c.text)
		}
	}
}
