package gc

import (
	"maps"

	"dist.example/db"
)

// bytes are those that some objects take.
type bytes struct {
	loose  int64
	packed map[int64]int64 // by pack
}

func (b *bytes) add(o db.GraphObject) {
	if o.Pack == 0 {
		b.loose += o.Stored
		return
	}
	if b.packed == nil {
		b.packed = map[int64]int64{}
	}
	b.packed[o.Pack] += o.Stored
}

// emptying finds out which packs a collection empties as more and more in them dies: the
// bytes of a pack come back with that, and none before.
type emptying struct {
	o     Options
	packs map[int64]db.Pack
}

// packRows are the packs of a snapshot.
func packRows(tx *db.Tx) (map[int64]db.Pack, error) {
	rows := map[int64]db.Pack{}
	for row, err := range tx.Packs() {
		if err != nil {
			return nil, err
		}
		rows[row.ID] = row
	}
	return rows, nil
}

// packs are the packs with these rows once the garbage in them, which nothing marks, is
// given up.
func (e *evicting) packs(rows map[int64]db.Pack) *emptying {
	var dying bytes
	for _, obj := range e.graph.objects {
		if obj.Loc != db.LocDoomed && !e.marked.get(obj.ID) {
			dying.add(obj)
		}
	}
	p := &emptying{e.o, maps.Clone(rows)}
	p.giveUp(dying)
	return p
}

// giveUp says how many bytes come back if these go, beyond those that come back anyway.
func (p *emptying) giveUp(b bytes) (frees int64) {
	frees = b.loose
	for id, n := range b.packed {
		row := p.packs[id]
		before := p.comesBack(row)
		row.Live -= n
		row.Dead += n
		p.packs[id] = row
		frees += p.comesBack(row) - before
	}
	return frees
}

// comesBack is what a collection takes of a pack, 0 where it leaves it alone: not what
// stands around the objects, which in part moves to another pack.
func (p *emptying) comesBack(row db.Pack) int64 {
	if p.o.action(row) == "" {
		return 0
	}
	return row.Dead
}
