package client

import (
	"errors"
	"strings"
	"testing"

	"dist.example/content"
)

func TestWhatOnlyUsersGiveAMeaningIsRefusedWithoutThem(t *testing.T) {
	for name, c := range map[string]struct {
		o        AccessOptions
		writable bool
		want     string // a part of the error, "" for none
	}{
		"nothing":                        {AccessOptions{}, true, ""},
		"rules":                          {AccessOptions{Rules: "rules"}, false, "rules without users"},
		"an address":                     {AccessOptions{URL: "https://r.example"}, false, "an address for logins without users"},
		"strangers that do nothing":      {AccessOptions{Anonymous: "none"}, false, "anonymous none without users"},
		"strangers that pull":            {AccessOptions{Anonymous: "pull"}, false, ""},
		"strangers that pull, of pushes": {AccessOptions{Anonymous: "pull"}, true, "anonymous pull without users"},
	} {
		gate, err := new(Client).gate(c.o, "", c.writable)
		if gate != nil || (c.want == "") != (err == nil) || c.want != "" && (!errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v, want %q", name, gate, err, c.want)
		}
	}
}
