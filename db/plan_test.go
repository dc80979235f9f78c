package db

import (
	"strings"
	"testing"
)

// The hot queries find their rows by index: no step of them reads a whole table.
func TestHotQueriesUseIndexes(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	for _, query := range []string{
		selectObject + `WHERE o.digest = ?`,
		selectObject + `WHERE o.digest IN (?,?,?,?)`,
		selectObject + `WHERE o.id IN (?,?,?,?)`,
		`SELECT digest FROM objects WHERE digest BETWEEN ? AND ? AND loc NOT IN ` + unheld + ` ORDER BY digest LIMIT ?`,
		selectChildren,
		selectParents,
		selectReferrers,
		selectReached + `(?,?)`,
		selectHolders + `(?,?)`,
		selectSubjects + `(?,?)`,
		selectHoldings + `(?,?)`,
		selectSubjectHoldings + `(?,?)`,
		selectNamesOf + `(?,?)`,
		selectLeaseNumsOf + `(?,?)`,
		selectUndoableOf + `(?,?)`,
		selectRef + `WHERE r.name = ?`,
		selectRef + `WHERE r.name >= ? AND r.name < ? ORDER BY r.name`,
		selectRef + `WHERE r.object IN (?,?)`,
		selectNamed + `WHERE r.name >= ? AND r.name < ? ORDER BY r.name`,
		selectTags,
		selectHosts,
		selectAnyRef + `AND name < ? LIMIT 1`,
		selectLog + `WHERE seq < ? ORDER BY seq DESC`,
		selectLog + `WHERE name = ? AND seq < ? ORDER BY seq DESC`,
		selectUnpinned,
		selectLease + `WHERE id = ?`,
		selectLease + leasesBeginning,
		selectKept,
		selectKeptBy,
		selectPutLeases + `(?,?)`,
		selectIngest + `WHERE key = ?`,
		selectPack + `WHERE id = ?`,
		selectSources,
		selectLook,
		selectInRepository,
		selectIncluding,
		selectNaming,
		selectSighting + `WHERE name = ?`,
		selectSightingsOf,
		selectInventory,
		selectInventoryBlocks,
		selectInventoryNames,
		selectSites + `WHERE s.name = ?`,
		selectLastBundle,
		deleteSameBundle,
		forgetClosures,
	} {
		check(t, d.Read(t.Context(), func(tx *Tx) error {
			return tx.each("EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?")), func(scan func(...any) error) (bool, error) {
				var (
					id, parent, unused int
					detail             string
				)
				err := scan(&id, &parent, &unused, &detail)
				if strings.Contains(detail, "AUTOMATIC") || strings.HasPrefix(detail, "SCAN") && detail != "SCAN w" && detail != "SCAN k" && detail != "SCAN CONSTANT ROW" && !strings.HasPrefix(detail, "SCAN json_each") { // w and k are what a walk has found
					t.Errorf("%s\n\t%s", query, detail)
				}
				return true, err
			})
		}))
	}
}

// What loose blobs take is added up over an index of them alone.
func TestTakesReadsLooseBlobsAlone(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	var plan []string
	read(t, d, func(tx *Tx) error {
		return tx.each("EXPLAIN QUERY PLAN "+selectTakes, nil, func(scan func(...any) error) (bool, error) {
			var (
				id, parent, unused int
				detail             string
			)
			err := scan(&id, &parent, &unused, &detail)
			plan = append(plan, detail)
			return true, err
		})
	})
	if !strings.Contains(strings.Join(plan, "\n"), "COVERING INDEX objects_loose") {
		t.Errorf("%q", plan)
	}
}
