package db

import (
	"fmt"
	"strings"

	"dist.example/oci"
)

// Field is what a fact is about. The letters are stored: see schema.
type Field byte

// The fields of documents, and of what is looked up beside them.
const (
	FieldType       Field = 't'
	FieldPlatform   Field = 'p'
	FieldAnnotation Field = 'a'
	FieldLabel      Field = 'l'
	FieldFile       Field = 'f'
	FieldName       Field = 'n'
	FieldKey        Field = 'k'
)

// String is the field's word.
func (f Field) String() string {
	for _, d := range documentFields {
		if d.Field == f {
			return d.column
		}
	}
	switch f {
	case FieldName:
		return "name"
	case FieldKey:
		return "key"
	}
	return "other"
}

// documentFields are the columns of the index, in their order, and how much a word
// in one weighs.
var documentFields = []struct {
	Field
	column string
	weight int
}{
	{FieldType, "type", 2}, {FieldPlatform, "platform", 2}, {FieldAnnotation, "annotation", 4}, {FieldLabel, "label", 3}, {FieldFile, "file", 4},
}

// Fact is something that a document says, in one line.
type Fact struct {
	Field Field
	Text  string
}

// Document is what is to be found of an object.
type Document struct {
	Object int64
	Facts  []Fact
}

// facts is the document as it is stored, and readFacts reads that.
func (d Document) facts() string {
	var b strings.Builder
	for _, f := range d.Facts {
		b.WriteByte(byte(f.Field))
		b.WriteString(strings.NewReplacer("\n", " ", "\x00", " ").Replace(f.Text))
		b.WriteByte('\n')
	}
	return b.String()
}

func readFacts(stored string) (facts []Fact) {
	for line := range strings.Lines(stored) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			facts = append(facts, Fact{Field(line[0]), line[1:]})
		}
	}
	return facts
}

// columns are the words of each column of the index.
func (d Document) columns() []any {
	columns := make([]any, len(documentFields))
	for i, field := range documentFields {
		var b strings.Builder
		for _, f := range d.Facts {
			if f.Field == field.Field {
				b.WriteString(strings.Join(Words(f.Text), " "))
				b.WriteString(" · ")
			}
		}
		columns[i] = b.String()
	}
	return columns
}

// Backlog is in what the index is behind a snapshot.
type Backlog struct {
	Missing    []int64 // objects that are to be found and are not in the index
	Stale      []int64 // objects in it that are not here any more
	Marked     bool    // nobody has written since it was noted that the index lacks nothing
	generation int64   // of the snapshot
}

// searchMark is the setting that says at which generation the index lacked nothing:
// as long as nobody has written since, nobody need look.
const searchMark = "search_generation"

// SearchBacklog looks for what is to be indexed: manifests, indexes and what has a
// name, as far as it is here and sound. Where somebody has written since the index
// was complete it walks all objects: a third of a second for a million.
func (tx *Tx) SearchBacklog() (b Backlog, err error) {
	var complete int64
	if _, err := tx.get(`SELECT generation, ifnull((SELECT CAST(v AS INTEGER) FROM meta WHERE k = '`+searchMark+`'), 0) FROM head`, nil,
		&b.generation, &complete); err != nil {
		return b, err
	}
	if b.Marked = complete == b.generation; b.Marked {
		return b, nil
	}
	types, err := tx.manifestTypes()
	if err != nil {
		return b, err
	}
	if b.Missing, err = tx.ids(`SELECT id FROM objects WHERE (media IN (` + types + `) OR id IN (SELECT object FROM refs))
		AND loc NOT IN ` + unsound + ` AND id NOT IN (SELECT object FROM search_facts) ORDER BY id`); err != nil {
		return b, err
	}
	b.Stale, err = tx.ids(`SELECT object FROM search_facts f WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = f.object AND o.loc NOT IN ` + unsound + `)`)
	return b, err
}

// manifestTypes is an SQL list of the ids of types that say more than a type.
func (tx *Tx) manifestTypes() (list string, err error) {
	var ids []string
	err = tx.each(`SELECT id, name FROM media_types`, nil, func(scan func(...any) error) (bool, error) {
		var (
			id   int64
			name string
		)
		err := scan(&id, &name)
		if oci.HasSuccessors(name) {
			ids = append(ids, fmt.Sprint(id))
		}
		return true, err
	})
	return strings.Join(ids, ", "), err
}

func (tx *Tx) ids(query string, args ...any) (ids []int64, err error) {
	err = tx.each(query, args, func(scan func(...any) error) (bool, error) {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return true, err
	})
	return ids, err
}

const (
	putDocument = `(rowid, type, platform, annotation, label, file) VALUES (?,?,?,?,?,?)`
	putFacts    = `INSERT OR REPLACE INTO search_facts (object, facts) VALUES (?,?)`
)

// PutDocuments adds documents to the index, in place of earlier ones. A hundred of
// the usual size take about ten milliseconds.
func (tx *Tx) PutDocuments(docs []Document) error {
	for _, d := range docs {
		if _, err := tx.exec(`INSERT OR REPLACE INTO search `+putDocument, append([]any{d.Object}, d.columns()...)...); err != nil {
			return err
		}
		if _, err := tx.exec(putFacts, d.Object, d.facts()); err != nil {
			return err
		}
	}
	return nil
}

// DropDocuments takes objects out of the index. What is not in it is no error.
func (tx *Tx) DropDocuments(objects []int64) error {
	for _, id := range objects {
		for _, query := range []string{`DELETE FROM search WHERE rowid = ?`, `DELETE FROM search_facts WHERE object = ?`} {
			if _, err := tx.exec(query, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// MarkSearchable notes that the index lacks nothing, as long as nobody but own
// transactions, so many, has written since b was looked for.
func (tx *Tx) MarkSearchable(b Backlog, own int64) error {
	var generation int64
	if _, err := tx.get(`SELECT generation FROM head`, nil, &generation); err != nil || generation != b.generation+own {
		return err
	}
	return tx.SetMeta(searchMark, fmt.Sprint(generation+1)) // which this transaction makes
}
