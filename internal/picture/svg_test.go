package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestALineIsSplitAtItsColours(t *testing.T) {
	for _, c := range []struct {
		line string
		want []span
	}{
		{"", nil},
		{"plain", []span{{"plain", ""}}},
		{"\x1b[1;31mdist:\x1b[0m gone", []span{{"dist:", "b r"}, {" gone", ""}}},
		{"a\x1b[36mhint\x1b[mb", []span{{"a", ""}, {"hint", "y"}, {"b", ""}}},
		{"moved\x1b[2K on", []span{{"moved", ""}, {" on", ""}}},
		{"cut\x1b[3", []span{{"cut", ""}}},
	} {
		if got := parseLine(c.line); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.line, got, c.want)
		}
	}
}

// A picture is XML, has all the text and nothing that runs or is fetched.
func TestAPictureIsSelfContained(t *testing.T) {
	steps := []step{
		{"dist pull <x>", "\x1b[1;31mdist:\x1b[0m no & \"never\"\n└─ last\n"},
		{"dist images", ""},
	}
	for _, p := range []palette{light, dark} {
		data := draw(steps, p)
		var words strings.Builder
		for d := xml.NewDecoder(strings.NewReader(string(data))); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch v := token.(type) {
			case xml.CharData:
				words.Write(v)
			case xml.StartElement:
				if !slices.Contains([]string{"svg", "style", "rect", "circle", "text"}, v.Name.Local) {
					t.Errorf("%s has an element %s", p.name, v.Name.Local)
				}
			}
		}
		for _, want := range []string{"dist pull <x>", `no & "never"`, "└─ last", "dist images"} {
			if !strings.Contains(words.String(), want) {
				t.Errorf("%s lacks %q", p.name, want)
			}
		}
		if strings.Contains(string(data), "url(") || !strings.Contains(string(data), p.ground) {
			t.Errorf("%s fetches something, or has another ground", p.name)
		}
	}
}

// Words stay in their columns whatever the font.
func TestASpanStandsAtItsColumn(t *testing.T) {
	out := draw([]step{{"x", "ab  \x1b[36mcd\x1b[0m"}}, light)
	if want := fmt.Sprintf(`<text x="%.1f"`, margin+4*cellWidth); !strings.Contains(string(out), want) {
		t.Errorf("no %s in\n%s", want, out)
	}
}
