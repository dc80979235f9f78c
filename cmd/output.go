package cmd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"sync"
	"text/template"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// outputFormat is the value of --format.
type outputFormat struct {
	kind     string // table, json, jsonl or go-template
	template string
}

const templatePrefix = "go-template="

// UnmarshalText takes table, json, jsonl or go-template=TEXT; empty is table.
func (f *outputFormat) UnmarshalText(text []byte) error {
	if t, ok := strings.CutPrefix(string(text), templatePrefix); ok {
		*f = outputFormat{"go-template", t}
		_, err := parseTemplate(t) // before anything is done
		return err
	}
	if string(text) == "csv" {
		return usagef(`"csv" is a format of queries alone: dist query --csv`)
	}
	f.template = ""
	return oneOf(&f.kind, string(text), "table", "json", "jsonl", templatePrefix+"TEXT")
}

// json says whether the output is for programs.
func (f outputFormat) json() bool { return f.kind == "json" || f.kind == "jsonl" }

// structured says whether something else than a table was asked for.
func (f outputFormat) structured() bool { return f.kind != "" && f.kind != "table" }

// each is list as printList takes it.
func each[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// listing says how a verb prints many items of one kind. Every listing of the
// command line goes through printList.
type listing[T any] struct {
	key     string           // the name of the array in the JSON document
	columns []column         // of the table
	row     func(T) []string // one cell for each column
	id      func(T) string   // what -q prints
	object  func(T) any      // what JSON and templates show; it marshals to an object
	// promptly shows what has come although more is slow to follow. Columns are then as
	// wide as what has come by that time.
	promptly bool
}

// printList prints items in the format that was asked for. It ends at the first
// error of items, with what came before it printed.
func printList[T any](out io.Writer, f outputFormat, quiet bool, l listing[T], items iter.Seq2[T, error]) (err error) {
	w := bufio.NewWriterSize(out, 64<<10)
	defer func() {
		if ferr := w.Flush(); err == nil {
			err = ferr
		}
	}()
	var p listPrinter[T]
	switch {
	case quiet:
		p = &idPrinter[T]{w, l.id}
	case f.kind == "json":
		p = &jsonPrinter[T]{w: w, listing: l}
	case f.kind == "jsonl":
		p = &jsonlPrinter[T]{w, l.object}
	case f.kind == "go-template":
		t, err := parseTemplate(f.template)
		if err != nil {
			return err
		}
		p = &templatePrinter[T]{w, t, l.object}
	default:
		p = &tablePrinter[T]{newTable(w, l.columns), l.row}
	}
	var (
		mu sync.Mutex // over p, w and n
		n  = 0
	)
	if l.promptly {
		defer every(promptEvery, func() {
			mu.Lock()
			defer mu.Unlock()
			if n > 0 { // errors come again with what is written next
				_, _ = p.flush(), w.Flush()
			}
		})()
	}
	for item, err := range items {
		mu.Lock()
		if err == nil {
			n++
			err = p.item(item)
		}
		mu.Unlock()
		if err != nil {
			// What came before is shown; a heading without a list is not.
			if n > 0 {
				mu.Lock()
				_ = p.flush()
				mu.Unlock()
			}
			return err
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if err := p.flush(); err != nil {
		return err
	}
	return p.end()
}

// promptEvery is how long an item may wait to be shown.
const promptEvery = 30 * time.Millisecond

// every calls fn again and again, until the function that it returns has returned.
func every(d time.Duration, fn func()) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(d)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				fn()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// listPrinter prints a list in one format. flush gives out what is held back,
// end closes a list that was complete: a document that lacks its end is how a
// program sees that the list was cut short.
type listPrinter[T any] interface {
	item(T) error
	flush() error
	end() error
}

type idPrinter[T any] struct {
	w  io.Writer
	id func(T) string
}

func (p *idPrinter[T]) item(v T) error {
	_, err := fmt.Fprintln(p.w, p.id(v))
	return err
}
func (p *idPrinter[T]) flush() error { return nil }
func (p *idPrinter[T]) end() error   { return nil }

// jsonPrinter writes {"version":1,"KEY":[…]}, one item a line, as they come.
type jsonPrinter[T any] struct {
	w io.Writer
	listing[T]
	n int
}

func (p *jsonPrinter[T]) item(v T) error {
	line, err := marshal(p.object(v))
	if err != nil {
		return err
	}
	head := ",\n  "
	if p.n == 0 {
		head = p.head() + "\n  "
	}
	p.n++
	_, err = fmt.Fprintf(p.w, "%s%s", head, line)
	return err
}

func (p *jsonPrinter[T]) head() string {
	return fmt.Sprintf(`{"version":%d,%q:[`, jsonVersion, p.key)
}
func (p *jsonPrinter[T]) flush() error { return nil }

func (p *jsonPrinter[T]) end() error {
	tail := "\n]}\n"
	if p.n == 0 {
		tail = p.head() + "]}\n"
	}
	_, err := io.WriteString(p.w, tail)
	return err
}

// jsonlPrinter writes each item as a document of its own.
type jsonlPrinter[T any] struct {
	w      io.Writer
	object func(T) any
}

func (p *jsonlPrinter[T]) item(v T) error {
	line, err := document(p.object(v))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.w, "%s\n", line)
	return err
}
func (p *jsonlPrinter[T]) flush() error { return nil }
func (p *jsonlPrinter[T]) end() error   { return nil }

// templatePrinter applies a text/template to the JSON object of each item, so
// that the names in a template are those of the JSON documents.
type templatePrinter[T any] struct {
	w        io.Writer
	template *template.Template
	object   func(T) any
}

func parseTemplate(text string) (*template.Template, error) {
	functions := template.FuncMap{
		"json": func(v any) (string, error) {
			p, err := marshal(v)
			return string(p), err
		},
		"size": func(n json.Number) (string, error) {
			v, err := n.Int64()
			return oci.HumanSize(v), err
		},
	}
	t, err := template.New(templateName).Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, usagef("the template cannot be read: %s", templateProblem(err))
	}
	return t, nil
}

// templateName is what text/template calls ours in its errors.
const templateName = "go-template"

var (
	templatePlace = regexp.MustCompile(`^template: ` + templateName + `(:\d+)*: (executing "` + templateName + `" at )?`)
	templateField = regexp.MustCompile(`^<.*>: map has no entry for key ("[^"]*")$`)
)

// templateProblem is err of text/template without its words for where a file is wrong.
func templateProblem(err error) string {
	what := templatePlace.ReplaceAllString(err.Error(), "")
	return templateField.ReplaceAllString(what, "there is no field $1")
}

func (p *templatePrinter[T]) item(v T) error {
	data, err := marshal(p.object(v))
	if err != nil {
		return err
	}
	var fields map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&fields); err != nil {
		return err
	}
	var line bytes.Buffer
	if err := p.template.Execute(&line, fields); err != nil {
		// No mistake of usage: a verb that acts has acted by now, and xargs or a script
		// that reads "usage" would take it that nothing was done.
		return content.WithHint(fmt.Errorf("the template does not fit: %s", templateProblem(err)),
			"what the command did stays done; --format json shows which fields there are")
	}
	line.WriteByte('\n')
	_, err = p.w.Write(line.Bytes())
	return err
}
func (p *templatePrinter[T]) flush() error { return nil }
func (p *templatePrinter[T]) end() error   { return nil }

type tablePrinter[T any] struct {
	table *table
	row   func(T) []string
}

func (p *tablePrinter[T]) item(v T) error { return p.table.add(p.row(v)...) }
func (p *tablePrinter[T]) flush() error   { return p.table.flush() }
func (p *tablePrinter[T]) end() error     { return nil }

// printObject prints one result: as JSON or by a template where that was asked for, else
// what human writes.
func printObject(w io.Writer, f outputFormat, object any, human func(io.Writer) error) error {
	switch f.kind {
	case "go-template":
		t, err := parseTemplate(f.template)
		if err != nil {
			return err
		}
		return (&templatePrinter[any]{w, t, func(v any) any { return v }}).item(object)
	case "table", "":
		return human(w)
	}
	p, err := document(object)
	if err != nil {
		return err
	}
	if f.kind == "json" {
		var b bytes.Buffer
		if err := json.Indent(&b, p, "", "  "); err != nil {
			return err
		}
		p = b.Bytes()
	}
	_, err = fmt.Fprintf(w, "%s\n", p)
	return err
}

// document marshals v, which must come out as an object, with the version field
// in front.
func document(v any) ([]byte, error) {
	p, err := marshal(v)
	if err != nil {
		return nil, err
	}
	if len(p) < 2 || p[0] != '{' {
		return nil, fmt.Errorf("print %T: its JSON is no object", v)
	}
	head := fmt.Sprintf(`{"version":%d`, jsonVersion)
	if len(p) > 2 {
		head += ","
	}
	return append([]byte(head), p[1:]...), nil
}

// marshal is json.Marshal without the escapes that are for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// joinWords writes a choice: "a, b or c".
func joinWords(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
