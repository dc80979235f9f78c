package db

import (
	"dist.example/oci"
)

// Edge is one row of edges, by the ids of objects.
type Edge struct {
	Parent, Child int64
	Role          oci.Role
}

// Neighbour is an object at the other end of an edge.
type Neighbour struct {
	Role oci.Role
	Object
}

var insertEdges = rowInsert{into: `edges (parent, child, role)`, row: `(?,?,?)`, after: ` ON CONFLICT DO NOTHING`, width: 3}

// PutEdges records edges; those that are there already stay.
func (tx *Tx) PutEdges(edges []Edge) error {
	if len(edges) == 0 {
		return nil
	}
	rows, changed := make([]any, 0, 3*len(edges)), make([]int64, 0, 2*len(edges))
	for _, e := range edges {
		rows = append(rows, e.Parent, e.Child, e.Role)
		changed = append(changed, e.Parent, e.Child)
	}
	if _, err := tx.insertRows(insertEdges, nil, rows); err != nil {
		return err
	}
	return tx.noteChanges(changed...)
}

const (
	selectChildren = `SELECT e.role, ` + objectColumns + ` FROM edges e JOIN objects o ON o.id = e.child
		LEFT JOIN media_types m ON m.id = o.media WHERE e.parent = ?`
	selectParents = `SELECT e.role, ` + objectColumns + ` FROM edges e JOIN objects o ON o.id = e.parent
		LEFT JOIN media_types m ON m.id = o.media WHERE e.child = ?`
	selectReferrers = `SELECT ` + objectColumns + ` FROM edges e JOIN objects o ON o.id = e.parent
		LEFT JOIN media_types m ON m.id = o.media
		WHERE e.child = ? AND e.role = 4 AND o.loc NOT IN ` + unsound + ` ORDER BY e.parent`
	// The list of parents follows.
	selectReached = `SELECT e.role, ` + objectColumns + ` FROM edges e JOIN objects o ON o.id = e.child
		LEFT JOIN media_types m ON m.id = o.media WHERE e.role IN (1, 2, 3) AND e.parent IN `
)

// Children lists what an object refers to, its subject too. The order of the
// document is only in the document.
func (tx *Tx) Children(parent int64) ([]Neighbour, error) {
	return tx.neighbours(selectChildren, parent)
}

// Parents lists what refers to an object, its referrers too.
func (tx *Tx) Parents(child int64) ([]Neighbour, error) {
	return tx.neighbours(selectParents, child)
}

// Referrers lists the present objects whose subject is the object with id
// subject, in the order in which they became known.
func (tx *Tx) Referrers(subject int64) ([]Object, error) {
	var found []Object
	err := tx.eachObject(selectReferrers, []any{subject}, func(o Object) (bool, error) {
		found = append(found, o)
		return true, nil
	})
	return found, err
}

func (tx *Tx) neighbours(query string, args ...any) ([]Neighbour, error) {
	var (
		found []Neighbour
		role  oci.Role
		s     objectScan
	)
	dest := s.dest(&role)
	err := tx.each(query, args, func(scan func(...any) error) (bool, error) {
		if err := scan(dest...); err != nil {
			return false, err
		}
		o, err := s.object()
		found = append(found, Neighbour{role, o})
		return true, err
	})
	return found, err
}

// Reach walks from objects along config, layer and manifest edges. reached has
// the ids of what is present, roots included and each once; missing has what
// should be there and is not: absent, damaged or doomed roots, configs and
// layers. Not missing are layers that need not be distributed, and manifests of
// an index, which may be left out by choice.
func (tx *Tx) Reach(roots []int64) (reached []int64, missing []Object, err error) {
	w := walk{seen: map[int64]bool{}}
	rows, err := tx.ObjectsByID(roots)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range roots {
		if o, ok := rows[id]; ok {
			w.visit(Neighbour{0, o})
		} else {
			return nil, nil, errNoRow("object", id)
		}
	}
	for len(w.frontier) > 0 {
		ids := w.frontier
		w.frontier = nil
		err := inChunks(idArgs(ids), func(args []any, list string) error {
			found, err := tx.neighbours(selectReached+`(`+list+`)`, args...)
			for _, n := range found {
				w.visit(n)
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return w.reached, w.missing, nil
}

// walk is the state of Reach.
type walk struct {
	seen     map[int64]bool
	frontier []int64
	reached  []int64
	missing  []Object
}

func (w *walk) visit(n Neighbour) {
	if !n.Loc.Held() && optional(n) || w.seen[n.ID] {
		return
	}
	w.seen[n.ID] = true
	if !n.Loc.Held() {
		w.missing = append(w.missing, n.Object)
		return
	}
	w.reached = append(w.reached, n.ID)
	w.frontier = append(w.frontier, n.ID)
}

// optional says whether a graph is whole without n.
func optional(n Neighbour) bool {
	return n.Role == oci.RoleManifest || (n.Role == oci.RoleLayer && oci.IsNonDistributable(n.Media))
}
