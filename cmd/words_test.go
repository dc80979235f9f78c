package cmd

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// What these tests hold together is told by docs/VOCABULARY.md: one thing has one word,
// and one flag has one letter and one meaning.

// flagMeanings are flags that do not say the same on every verb, with what each of their
// sentences has to have, or why they differ.
var flagMeanings = map[string]struct{ pattern, why string }{
	"all":             {"", "all names, or those too that are hidden as a rule"},
	"allow-rollback":  {"^Take an? (image|bundle).* older than", ""},
	"annotation":      {"May be repeated[.]$", ""},
	"as":              {"^Name ", ""},
	"auth-file":       {"", "logout looks into one file alone, others into it first"},
	"bundle":          {"", "a runtime bundle to make, or a bundle that the policy speaks of"},
	"check":           {"", "what is read first differs"},
	"compress":        {"gzip", ""},
	"expected-digest": {"^Digest that the content must have; any other is exit 4", ""},
	"expires":         {"", "a lease ends after a time, a bundle at a date, too"},
	"files":           {"", "a folder to write them to, or files alone in a comparison"},
	"force":           {"", "what is overruled differs"},
	"from":            {"", "a list, a place, an image, a layer: where it begins"},
	"keep":            {"^How long .* is kept while .*12h, 30d [(]7d by default[)][.]$", ""},
	"jobs":            {"^(Blobs moved|Names asked about) at once [(][48] by default[)][.]$", ""},
	"key":             {"(?i)key .*a label, an id or its first 8 digits, (a file, or PLUGIN://KEY|or a file)", ""},
	"label":           {"", "of an image, or of a key"},
	"limit":           {"^At most so many", ""},
	"identity":        {"^Name that (it )?is (to be )?signed for, in place of the one that ID says[.]$", ""},
	"name":            {"", "of a bundle, or of a site"},
	"note":            {"^What it is.*; shown wherever the (lease|site) is[.]$", ""},
	"output":          {"^(Where to: a file|Write the )", ""},
	"platform":        {"^((With --base: p|P)latform to take from an index, for |Of (an|each) index, |With --base: platform to take|Write this platform|Platform that a new image)", ""},
	"prefix":          {"", "in an image, or of names"},
	"quiet":           {"^(Print .* only, one a line|Leave out the closing line)[.]$", ""},
	"recursive":       {"", "folders, or indexes"},
	"request":         {"", "written by import, answered by export"},
	"revalidate":      {"by default[)][.]$", ""},
	"rootless":        {"everything belongs to you", ""},
	"signed-identity": {"(?i)which name in a signature is good", ""},
	"mount":           {"(?i)keep the layers unpacked in the store, and mount them", ""},
	"snapshots":       {"(?i)the layers (that are kept )?unpacked", ""},
	"subids":          {"", "to unpack with, or what was unpacked with"},
	"type":            {"", "to print, to make, of content, of a key"},
	"user":            {"", "who logs in, or whom an image runs as"},
	"verify":          {"(?i)hash ", ""},
	"yes":             {" without asking", ""},
}

// shortExceptions are flags that have a letter on some verbs alone.
var shortExceptions = map[string]string{
	"user": "of login it is who logs in; of pack one of many settings of an image",
}

// placeholderExceptions are flags whose values are not of one kind.
var placeholderExceptions = map[string]string{
	"bundle":  "see flagMeanings",
	"expires": "see flagMeanings",
	"files":   "see flagMeanings",
	"from":    "see flagMeanings",
	"label":   "see flagMeanings",
	"name":    "that of a site is SITE",
	"output":  "what else than a FILE it may be",
	"prefix":  "see flagMeanings",
	"type":    "see flagMeanings",
}

// letters are all short flags; no letter stands for more than is told here.
var letters = map[rune][]string{
	'0': {"null"}, 'R': {"recursive"}, 'a': {"all", "append"}, 'e': {"exists"}, 'f': {"force"}, 'j': {"jobs"},
	'k': {"key"}, 'n': {"limit"}, 'o': {"output"}, 'p': {"print"}, 'q': {"quiet"}, 'r': {"registry"}, 's': {"size"},
	't': {"type"}, 'u': {"user"}, 'y': {"yes"},
}

// flagsByName are the flags of all verbs, but for those that every verb has.
func flagsByName(t *testing.T) map[string][]*kong.Flag {
	all := map[string][]*kong.Flag{}
	for _, verb := range model(t).Leaves(true) {
		for _, f := range verb.Flags {
			all[f.Name] = append(all[f.Name], f)
		}
	}
	return all
}

// distinct are the different values of a property of flags.
func distinct(flags []*kong.Flag, property func(*kong.Flag) string) []string {
	var values []string
	for _, f := range flags {
		values = append(values, property(f))
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func TestOneFlagHasOneMeaning(t *testing.T) {
	for name, flags := range flagsByName(t) {
		sentences := distinct(flags, func(f *kong.Flag) string { return f.Help })
		allowed, listed := flagMeanings[name]
		switch {
		case len(sentences) == 1 && listed:
			t.Errorf("--%s says one thing everywhere: take it out of the table", name)
		case len(sentences) > 1 && !listed:
			t.Errorf("--%s says %q", name, sentences)
		}
		for _, s := range sentences {
			if listed && !regexp.MustCompile(allowed.pattern).MatchString(s) {
				t.Errorf("--%s: %q is not like %q", name, s, allowed.pattern)
			}
		}
	}
}

func TestOneFlagHasOneLetterAndOneKindOfValue(t *testing.T) {
	used := map[rune][]string{}
	for name, flags := range flagsByName(t) {
		shorts := distinct(flags, func(f *kong.Flag) string { return strings.Trim(string(f.Short), "\x00") })
		if _, ok := shortExceptions[name]; len(shorts) > 1 != ok {
			t.Errorf("--%s has the letters %q", name, shorts)
		}
		for _, f := range flags {
			if f.Short != 0 && !slices.Contains(used[f.Short], name) {
				used[f.Short] = append(used[f.Short], name)
			}
		}
		values := distinct(flags, func(f *kong.Flag) string {
			if f.IsBool() {
				return ""
			}
			return f.FormatPlaceHolder()
		})
		if _, ok := placeholderExceptions[name]; len(values) > 1 != ok {
			t.Errorf("--%s takes %q", name, values)
		}
	}
	for letter, names := range used {
		slices.Sort(names)
		if !slices.Equal(names, letters[letter]) {
			t.Errorf("-%c is %q, want %q", letter, names, letters[letter])
		}
	}
}

// What can be repeated says so, and what has a default tells it, in the same words.
func TestFlagsTellHowTheyAreGiven(t *testing.T) {
	for name, flags := range flagsByName(t) {
		for _, f := range flags {
			if many := f.IsSlice(); many != strings.Contains(f.Help, "May be repeated.") {
				t.Errorf("--%s: repeated %t, and it says %q", name, many, f.Help)
			}
			// kong would cut what is given at commas, which paths and names may have.
			if f.IsSlice() && f.Tag.Sep != -1 {
				t.Errorf("--%s is cut at commas: say sep:\"none\"", name)
			}
			told := regexp.MustCompile(`\bby default\)|\bby default;|\(the default\)|the default is|\bdue \(`)
			if f.HasDefault && f.Default != "" && f.Default != "-1" && !told.MatchString(f.Help) {
				t.Errorf("--%s begins with %s, and says %q", name, f.Default, f.Help)
			}
		}
	}
}

// arguments are the words for what verbs take.
var arguments = strings.Fields("id name digest file dir path key label lease site receipt registry repository locator object hint source target " +
	"old new file|dir id:path sql shell verb word changes prefix setting rule args")

func TestArgumentsHaveOneWord(t *testing.T) {
	used := map[string]bool{}
	const id = "a digest, a name, or the first 6 or more hex digits of a digest"
	for _, verb := range model(t).Leaves(true) {
		for _, p := range verb.Positional {
			used[p.Name] = true
			if !slices.Contains(arguments, p.Name) {
				t.Errorf("%s: <%s> is no word for an argument", verb.Path(), p.Name)
			}
			if p.Name == "id" && !strings.Contains(p.Help, id) {
				t.Errorf("%s: <id> is %q", verb.Path(), p.Help)
			}
		}
	}
	for _, a := range arguments {
		if !used[a] {
			t.Errorf("<%s> is of no verb", a)
		}
	}
}

// columnWords are the headings of all tables.
var columnWords = strings.Fields(`NAME DIGEST TYPE SIZE STORED PLACE AGE PLATFORMS PLATFORM TRUST UPDATED PIN KEY OFFSET TOTAL RATE PID EXPIRES ABANDONED
	LEASE KIND OBJECTS OWNER KEEPS NOTE LABEL ID ALGORITHM PRIVATE COUNTS SITE NAMES SIGNED SEQ WHEN OLD NEW WHY MATCH FOR
	REGISTRY FILE HELPER MODE TIME PATH PROBLEM RESULT FETCHED FROM ACTION MOVE REUSE LISTED LOCKED NOW IMAGES BLOBS SERIAL INDEX HERE
	WHAT COUNT OWN SHARED FREES SIGNATURES CARRIED TAG ROLE ARTIFACT TITLE`)

func TestColumnsHaveOneWord(t *testing.T) {
	listed := append([]string{"TO FETCH", "SENT SINCE"}, columnWords...) // of two words, since one does not say it
	used := map[string]bool{}
	heading := regexp.MustCompile(`"([A-Z][A-Z ]+)\|?"`)
	for file, source := range sources(t) {
		for line := range strings.Lines(source) {
			if !regexp.MustCompile(`\bcolumns\(|\btitles\b|func\(p partJSON\)`).MatchString(line) || strings.Contains(line, "help:") {
				continue
			}
			for _, m := range heading.FindAllStringSubmatch(line, -1) {
				used[m[1]] = true
				if !slices.Contains(listed, m[1]) {
					t.Errorf("%s: %s is no word for a column", file, m[1])
				}
			}
		}
	}
	for _, w := range listed {
		if !used[w] {
			t.Errorf("%s heads no column", w)
		}
	}
}

// sources are the files of this package by their names, tests left out.
func sources(t *testing.T) map[string]string {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(data)
	}
	return all
}

// helpTexts are all that help prints, by verb or topic.
func helpTexts(t *testing.T) map[string]string {
	app := model(t)
	texts := map[string]string{"dist": app.Help}
	for _, verb := range app.Leaves(true) {
		text := verb.Help + "\n" + verb.Detail
		for _, p := range verb.Positional {
			text += "\n" + p.Help
		}
		for _, f := range verb.Flags {
			text += "\n--" + f.Name + " " + f.Help
		}
		texts[verb.Path()] = text
	}
	for _, name := range topics {
		text, err := topicText(app, name)
		if err != nil {
			t.Fatal(err)
		}
		texts["help "+name] = text
	}
	return texts
}

// The words in code font of the last column of docs/VOCABULARY.md are not ours, and what
// has one is a row of its own.
func TestHelpKeepsToTheVocabulary(t *testing.T) {
	data, err := os.ReadFile("../docs/VOCABULARY.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := helpTexts(t)
	ours, not := map[string]bool{}, map[string]string{}
	for line := range strings.Lines(string(data)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 4 || strings.TrimSpace(cells[0]) == "word" {
			continue
		}
		if word := strings.TrimSpace(cells[0]); ours[word] {
			t.Errorf("%s has two rows", word)
		} else {
			ours[word] = true
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1) {
			not[m[1]] = strings.TrimSpace(cells[0])
		}
	}
	if len(ours) < 60 || len(not) < 50 {
		t.Fatalf("%d words, %d that are not ours: the page is not read right", len(ours), len(not))
	}
	for word, say := range not {
		if ours[word] {
			t.Errorf("%s is ours and is not", word)
		}
		banned := regexp.MustCompile(`(?i)(^|[^\w-])` + regexp.QuoteMeta(word) + `s?($|[^\w-])`)
		for _, where := range slices.Sorted(maps.Keys(texts)) {
			if at := banned.FindString(texts[where]); at != "" {
				t.Errorf("%s says %q; the word is %s", where, strings.TrimSpace(at), say)
			}
		}
	}
}

// An exit code is told as "exit N".
func TestExitCodesAreToldInOneWay(t *testing.T) {
	other := regexp.MustCompile(`(?i)exit code (is )?([1-9]|10|11|12|13|14)\b|exits? with (code )?\d|exit status`)
	for where, text := range helpTexts(t) {
		if at := other.FindString(text); at != "" {
			t.Errorf("%s says %q", where, at)
		}
	}
}

// lists without -q, and why.
var listsWithoutQuiet = map[string]string{
	"get":           "--files prints paths alone, and what it prints otherwise is content",
	"lease renew":   "people see by the exit code that it is done",
	"lease release": "likewise",
}

// docs/FORMATS.md tells what every verb prints, and what prints a list has -q, which is
// ids alone.
func TestEveryShapeIsTold(t *testing.T) {
	data, err := os.ReadFile("../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "\n## JSON of the command line\n")
	text, _, _ = strings.Cut(text, "\n## ")
	told := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| (`.*) \\| (.*) \\|$").FindAllStringSubmatch(text, -1) {
		for _, call := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[1], -1) {
			verb, _, _ := strings.Cut(call[1], " -")
			told[verb] += m[2] + "\n"
		}
	}
	for _, verb := range model(t).Leaves(true) {
		what, ok := told[verb.Path()]
		if !ok {
			t.Errorf("docs/FORMATS.md does not say what %s prints", verb.Path())
		}
		quiet := slices.ContainsFunc(verb.Flags, func(f *kong.Flag) bool { return f.Name == "quiet" })
		if _, without := listsWithoutQuiet[verb.Path()]; strings.HasPrefix(what, "a list") && !quiet != without {
			t.Errorf("%s prints a list, and has -q: %t", verb.Path(), quiet)
		}
	}
	for file, source := range sources(t) {
		for _, m := range regexp.MustCompile(`json:"(\w+)`).FindAllStringSubmatch(source, -1) {
			if !regexp.MustCompile(`\b` + m[1] + `\b`).MatchString(text) {
				t.Errorf("docs/FORMATS.md does not tell %s, a field in %s", m[1], file)
			}
		}
	}
	for _, m := range regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(text, -1) {
		heading := "\n#{2,3} " + strings.ReplaceAll(m[1], "-", " ") + "\n"
		if !regexp.MustCompile("(?i)" + heading).Match(data) {
			t.Errorf("docs/FORMATS.md has no section %s", m[1])
		}
	}
}

// Every document has the version in front, since they are written in these places alone.
func TestEveryDocumentHasAVersion(t *testing.T) {
	writes := regexp.MustCompile(`json\.(Marshal|NewEncoder|MarshalIndent)\(`)
	versioned := map[string]string{
		"output.go":   "document puts it in front; marshal is its inside",
		"errors.go":   "errorJSON has the field",
		"summary.go":  "summaryJSON has the field",
		"progress.go": "eventJSON has the field",
	}
	for file, source := range sources(t) {
		if _, ok := versioned[file]; !ok && writes.MatchString(source) {
			t.Errorf("%s writes JSON past printList and printObject", file)
		}
	}
	for _, v := range []any{errorJSON{Version: 1}, summaryJSON{Version: 1}, eventJSON{Version: 1}} {
		if p, err := marshal(v); err != nil || !strings.HasPrefix(string(p), `{"version":1,`) {
			t.Errorf("%T: %s, %v", v, p, err)
		}
	}
	if p, err := document(struct{}{}); err != nil || string(p) != fmt.Sprintf(`{"version":%d}`, jsonVersion) {
		t.Errorf("%s, %v", p, err)
	}
}
