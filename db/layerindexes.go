package db

// PutLayerIndex notes the index of a layer, in place of another. It is kept as it is.
func (tx *Tx) PutLayerIndex(object int64, data []byte) error {
	_, err := tx.exec(`INSERT INTO layer_indexes (object, data) VALUES (?, ?)
		ON CONFLICT (object) DO UPDATE SET data = excluded.data`, object, data)
	return err
}

// LayerIndex is the index of a layer. Errors: content.ErrNotFound where there is none.
func (tx *Tx) LayerIndex(object int64) (data []byte, err error) {
	found, err := tx.get(`SELECT data FROM layer_indexes WHERE object = ?`, []any{object}, &data)
	if err == nil && !found {
		err = errNoRow("layer index of object", object)
	}
	return data, err
}
