package db

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dist.example/oci"
)

// How much a word in a name or a key weighs, beside those of documentFields; less
// where only the beginning is the same.
const (
	nameWeight = 10
	keyWeight  = 6
)

// maxHitNames bounds the names that are told of one object.
const maxHitNames = 100

// SearchOptions say what is searched for.
type SearchOptions struct {
	Terms  []Term
	Limit  int                   // at most so many hits, 0 for all
	Labels map[oci.Digest]string // of keys, by their ids, beside those that the catalog has
}

// Hit is an object that has all that was searched for.
type Hit struct {
	Object Object
	Names  []string // those that stand for it, those with a word that was searched for first; 100 at most
	Facts  []Fact   // all that it was looked for in, names and keys included
	Score  float64  // more is better; comparable within one search
}

// Search finds the objects that have all terms, in their names, in what their
// manifests say, and in the keys that signed them: the best first; more says whether there are others. It is right whatever the state of the
// index: documents makes those of objects that the index lacks, some at a time, which are
// searched in memory, where they take a few KiB each. Names and keys are always those
// of now.
func (d *DB) Search(ctx context.Context, o SearchOptions, documents func([]Object) ([]Document, error)) (hits []Hit, more bool, err error) {
	err = d.Read(ctx, func(tx *Tx) (err error) {
		s := &search{tx: tx, terms: o.Terms, labels: o.Labels, rest: map[int64]string{}, facts: map[int64][]Fact{}}
		if err := s.indexRest(documents); err != nil {
			return err
		}
		scores, err := s.scores()
		if err != nil {
			return err
		}
		hits, more, err = s.best(scores, o.Limit)
		return err
	})
	return hits, more, err
}

// search is one search, within a transaction.
type search struct {
	tx     *Tx
	terms  []Term
	labels map[oci.Digest]string
	rest   map[int64]string // facts of what is not in the index, as they are stored there
	facts  map[int64][]Fact // names and keys of objects, those with a term in them
}

// indexRest makes an index in memory of what the catalog's lacks. It goes with the
// transaction.
func (s *search) indexRest(documents func([]Object) ([]Document, error)) error {
	backlog, err := s.tx.SearchBacklog()
	if err != nil || len(backlog.Missing) == 0 {
		return err
	}
	err = s.tx.c.script(`CREATE VIRTUAL TABLE temp.search_rest USING fts5 (type, platform, annotation, label, file, content = '', tokenize = 'ascii')`)
	for ids := range slices.Chunk(backlog.Missing, chunkSizes[0]) {
		if err == nil {
			err = s.indexSome(ids, documents)
		}
	}
	return err
}

func (s *search) indexSome(ids []int64, documents func([]Object) ([]Document, error)) error {
	rows, err := s.tx.ObjectsByID(ids)
	if err != nil {
		return err
	}
	docs, err := documents(slices.SortedFunc(maps.Values(rows), func(a, b Object) int { return cmp.Compare(a.ID, b.ID) }))
	for _, d := range docs {
		if err == nil {
			err = s.tx.ctx.Err()
		}
		if err != nil {
			return err
		}
		s.rest[d.Object] = d.facts()
		_, err = s.tx.c.exec(`INSERT INTO temp.search_rest `+putDocument, append([]any{d.Object}, d.columns()...)...)
	}
	return err
}

// scores finds the objects that have all terms.
func (s *search) scores() (map[int64]float64, error) {
	found := make([]map[int64]float64, len(s.terms))
	for i, t := range s.terms {
		found[i] = map[int64]float64{}
		if err := s.inDocuments(t, found[i]); err != nil {
			return nil, err
		}
	}
	if err := s.inNames(found); err != nil {
		return nil, err
	}
	if err := s.inKeys(found); err != nil {
		return nil, err
	}
	all := found[0]
	for _, more := range found[1:] {
		for id := range all {
			score, ok := more[id]
			if !ok {
				delete(all, id)
				continue
			}
			all[id] += score
		}
	}
	return all, nil
}

// inDocuments finds a term in the index, and in what it lacks.
func (s *search) inDocuments(t Term, found map[int64]float64) error {
	var weights strings.Builder
	for _, f := range documentFields {
		fmt.Fprintf(&weights, ", %d", f.weight)
	}
	tables := []string{"main.search"}
	if len(s.rest) > 0 {
		tables = append(tables, "temp.search_rest")
	}
	for _, table := range tables {
		name := table[strings.Index(table, ".")+1:]
		query := `SELECT rowid, bm25(` + name + weights.String() + `) FROM ` + table + ` WHERE ` + name + ` MATCH ?`
		if err := s.tx.each(query, []any{t.match()}, func(scan func(...any) error) (bool, error) {
			var (
				id   int64
				rank float64
			)
			err := scan(&id, &rank)
			found[id] -= rank // SQLite's is the lower, the better
			return true, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// inNames finds the terms in names.
func (s *search) inNames(found []map[int64]float64) error {
	return s.tx.each(`SELECT name, object FROM refs`, nil, func(scan func(...any) error) (bool, error) {
		var (
			name string
			id   int64
		)
		err := scan(&name, &id)
		s.count(id, Fact{FieldName, name}, nameWeight, found)
		return true, err
	})
}

// inKeys finds the terms in ids and labels of the keys that made signatures.
func (s *search) inKeys(found []map[int64]float64) error {
	const query = `SELECT DISTINCT o.id, v.key_id, ifnull(k.label, '') FROM verifications v JOIN signatures s ON s.id = v.signature_id
		JOIN objects o ON o.digest = s.subject_digest LEFT JOIN trust_keys k ON k.key_id = v.key_id WHERE v.outcome = '` + outcomeMade + `'`
	return s.tx.each(query, nil, func(scan func(...any) error) (bool, error) {
		var (
			id         int64
			key, label string
		)
		err := scan(&id, &key, &label)
		label = cmp.Or(label, s.labels[oci.Digest(key)])
		s.count(id, Fact{FieldKey, strings.TrimSpace(key + " " + label)}, keyWeight, found)
		return true, err
	})
}

// count notes which terms are in a fact.
func (s *search) count(id int64, f Fact, weight float64, found []map[int64]float64) {
	words := Words(f.Text)
	has := false
	for i, t := range s.terms {
		switch exact := (Term{Words: t.Words}); {
		case exact.In(words):
			found[i][id] = max(found[i][id], weight)
		case t.In(words):
			found[i][id] = max(found[i][id], weight/2)
		default:
			continue
		}
		has = true
	}
	if has {
		s.facts[id] = append(s.facts[id], f)
	}
}

// best are the first of what was found, with all that is to be told of it. Entries of
// the index whose object is not here any more, or has become a blob without a name,
// are passed over.
func (s *search) best(scores map[int64]float64, limit int) (hits []Hit, more bool, err error) {
	ids := slices.SortedFunc(maps.Keys(scores), func(a, b int64) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	for chunk := range slices.Chunk(ids, chunkSizes[0]) {
		rows, err := s.tx.ObjectsByID(chunk)
		if err != nil {
			return nil, false, err
		}
		for _, id := range chunk {
			o, ok := rows[id]
			if !ok || !o.Loc.Held() {
				continue
			}
			h, err := s.hit(o, scores[id])
			if err != nil {
				return nil, false, err
			}
			if len(h.Names) == 0 && !oci.HasSuccessors(o.Media) {
				continue
			}
			if limit > 0 && len(hits) == limit {
				return hits, true, nil
			}
			hits = append(hits, h)
		}
	}
	return hits, false, nil
}

// hit gathers what is to be told of an object.
func (s *search) hit(o Object, score float64) (Hit, error) {
	h := Hit{Object: o, Score: score, Facts: s.facts[o.ID]}
	for _, f := range h.Facts {
		if f.Field == FieldName && len(h.Names) < maxHitNames {
			h.Names = append(h.Names, f.Text)
		}
	}
	slices.Sort(h.Names)
	err := s.tx.each(`SELECT name FROM refs WHERE object = ? ORDER BY name LIMIT ?`, []any{o.ID, 2 * maxHitNames}, func(scan func(...any) error) (bool, error) {
		var name string
		err := scan(&name)
		if !slices.Contains(h.Names, name) && len(h.Names) < maxHitNames {
			h.Names = append(h.Names, name)
		}
		return true, err
	})
	if err != nil {
		return h, err
	}
	stored, ok := s.rest[o.ID]
	if !ok {
		_, err = s.tx.get(`SELECT facts FROM search_facts WHERE object = ?`, []any{o.ID}, &stored)
	}
	h.Facts = append(h.Facts, readFacts(stored)...)
	return h, err
}
