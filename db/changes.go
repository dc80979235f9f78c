package db

// markingKey is the setting that is there while a collection is marking.
const markingKey = "marking"

var insertChanges = rowInsert{into: `changes (object)`, row: `(?)`, width: 1}

// noteChanges records what is newly rooted, linked or revived, for a collection
// that is marking; there is nobody to read it otherwise. A collection asks for it
// in a write transaction before it takes its snapshot, so every writer either
// comes before the snapshot or sees the request.
func (tx *Tx) noteChanges(objects ...int64) error {
	if tx.marking == nil {
		_, marking, err := tx.Meta(markingKey)
		if err != nil {
			return err
		}
		tx.marking = &marking
	}
	if !*tx.marking {
		return nil
	}
	_, err := tx.insertRows(insertChanges, nil, idArgs(objects))
	return err
}

// BeginMarking makes writers record changes from now on, and drops those of an
// earlier collection. It is called before the snapshot that is marked is taken.
func (tx *Tx) BeginMarking() error {
	if _, err := tx.exec(`DELETE FROM changes`); err != nil {
		return err
	}
	tx.marking = nil
	return tx.SetMeta(markingKey, "1")
}

// EndMarking makes writers record no more.
func (tx *Tx) EndMarking() error {
	if _, err := tx.exec(`DELETE FROM changes`); err != nil {
		return err
	}
	tx.marking = nil
	return tx.DeleteMeta(markingKey)
}

// ChangesAfter lists the objects recorded after generation gen (0 for all) and
// the generation of the last, or gen.
func (tx *Tx) ChangesAfter(gen int64) (objects []int64, last int64, err error) {
	last = gen
	err = tx.each(`SELECT gen, object FROM changes WHERE gen > ? ORDER BY gen`, []any{gen}, func(scan func(...any) error) (bool, error) {
		var id int64
		err := scan(&last, &id)
		objects = append(objects, id)
		return true, err
	})
	return objects, last, err
}
