package db

import (
	"context"
	"strings"

	"dist.example/oci"
)

// Membership says how an object came to be in a repository, or that it is not to
// be there.
type Membership uint8

// The memberships. Values are stored: never renumber.
const (
	Pushed    Membership = 1 // when something that it refers to was not there
	Mirrored  Membership = 2
	Excluded  Membership = 3 // never included here
	Withdrawn Membership = 4 // excluded after it had been included
	// PushedWhole is Pushed of what has all that it refers to in the repository, and
	// that may vouch for it when it has a name there.
	PushedWhole Membership = 5
)

// The repository that a query asks about is its second value.
const (
	askedFor = `(SELECT id FROM repositories WHERE name = ?2)`

	// upwards goes from an object to what may make it a part of the repository.
	// firm says that being pushed there is not enough: what is below would have to be
	// vouched for. What was pushed with something missing vouches for nothing.
	upwards = `WITH RECURSIVE walk (id, firm) AS (
		SELECT o.id, ?3 FROM objects o WHERE o.digest = ?1 AND o.loc NOT IN ` + unsound + ` AND NOT (?3 AND EXISTS (
				SELECT 1 FROM repository_objects r WHERE r.object = o.id AND r.repository = ` + askedFor + ` AND r.how = 1))
		UNION
		SELECT e.parent, 1 FROM walk w CROSS JOIN edges e ON e.child = w.id AND e.role IN (1, 2, 3)
			CROSS JOIN objects o ON o.id = e.parent
			WHERE o.loc NOT IN ` + unheld + ` AND NOT EXISTS (
				SELECT 1 FROM repository_objects r WHERE r.object = e.parent AND r.repository = ` + askedFor + ` AND r.how = 1)
		UNION
		SELECT e.child, 0 FROM walk w CROSS JOIN edges e ON e.parent = w.id AND e.role = 4
			CROSS JOIN objects o ON o.id = e.child
			WHERE o.loc NOT IN ` + unheld + ` AND NOT EXISTS (
				SELECT 1 FROM repository_objects r WHERE r.object = w.id AND (r.how <> 3 OR r.repository = ` + askedFor + `)))`

	selectInRepository = upwards + `
		SELECT 1 FROM walk w WHERE EXISTS (
			SELECT 1 FROM repository_objects r WHERE r.object = w.id AND r.repository = ` + askedFor + ` AND (r.how = 2 OR r.how IN (1, 5) AND NOT w.firm))
		OR EXISTS (SELECT 1 FROM refs n WHERE n.object = w.id AND n.name > ?2 || ':' AND n.name < ?2 || ';')
		OR EXISTS (SELECT 1 FROM refs n WHERE n.object = w.id AND n.name > ?2 || '@' AND n.name < ?2 || 'A')
		LIMIT 1`

	// everywhere is upwards for no repository in particular.
	everywhere = `WITH RECURSIVE walk (id) AS (
		SELECT id FROM objects WHERE digest = ?1 AND loc NOT IN ` + unsound + `
		UNION
		SELECT e.parent FROM walk w CROSS JOIN edges e ON e.child = w.id AND e.role IN (1, 2, 3)
			CROSS JOIN objects o ON o.id = e.parent WHERE o.loc NOT IN ` + unheld + `
		UNION
		SELECT e.child FROM walk w CROSS JOIN edges e ON e.parent = w.id AND e.role = 4
			CROSS JOIN objects o ON o.id = e.child WHERE o.loc NOT IN ` + unheld + `)`
	selectIncluding = everywhere + `
		SELECT p.name FROM walk w CROSS JOIN repository_objects r ON r.object = w.id AND r.how NOT IN (3, 4)
		CROSS JOIN repositories p ON p.id = r.repository`
	selectNaming = everywhere + `
		SELECT n.name FROM walk w CROSS JOIN refs n ON n.object = w.id`
)

// InRepository says whether d is held and in a repository (host/path): by being
// included there, by names, and by what refers to it (see
// content.RepositoryReader).
func (tx *Tx) InRepository(repo string, d oci.Digest) (bool, error) {
	return tx.inRepository(repo, d, false)
}

// InRepository is that of a transaction, outside of any: one statement, for who
// asks about one digest.
func (d *DB) InRepository(ctx context.Context, repo string, digest oci.Digest) (in bool, err error) {
	err = d.briefly(ctx, func(tx *Tx) (err error) {
		in, err = tx.InRepository(repo, digest)
		return err
	})
	return in, err
}

// inRepository is InRepository; firm asks whether it is there otherwise than by
// having been pushed.
func (tx *Tx) inRepository(repo string, d oci.Digest, firm bool) (in bool, err error) {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return false, err
	}
	var one int
	return tx.get(selectInRepository, []any{raw, repo, firm}, &one)
}

// RepositoriesOf lists the repositories that may have d, each once: those that
// include it or something above it, the nearest first, then those with names.
func (tx *Tx) RepositoriesOf(d oci.Digest) (repos []string, err error) {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, query := range []string{selectIncluding, selectNaming} {
		err := tx.each(query, []any{raw}, func(scan func(...any) error) (bool, error) {
			var name string
			err := scan(&name)
			if query == selectNaming {
				name = repositoryOf(name)
			}
			if !seen[name] {
				seen[name] = true
				repos = append(repos, name)
			}
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	return repos, nil
}

const selectAnyIncluded = `SELECT 1 FROM repositories p CROSS JOIN repository_objects r ON r.repository = p.id AND r.how NOT IN (3, 4)
	CROSS JOIN objects o ON o.id = r.object WHERE p.name = ? AND o.loc NOT IN ` + unsound + ` LIMIT 1`

// AnyIncluded says whether something that is held was included in a repository.
func (tx *Tx) AnyIncluded(repo string) (bool, error) {
	var one int
	return tx.get(selectAnyIncluded, []any{repo}, &one)
}

// repositoryOf is the host and path of a name.
func repositoryOf(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}

// Include puts objects that are held into a repository, as Pushed or Mirrored:
// their edges have to be known by then. What is Mirrored stays so.
func (tx *Tx) Include(repo string, how Membership, objects []Object) error {
	id, err := tx.repositoryID(repo)
	if err != nil {
		return err
	}
	for _, o := range objects {
		now := how
		if how == Pushed {
			if now, err = tx.pushed(repo, o); err != nil {
				return err
			}
		}
		_, err := tx.exec(`INSERT INTO repository_objects (object, repository, how, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (object, repository) DO UPDATE SET how = excluded.how, at = excluded.at
			WHERE how <> 2 AND how <> excluded.how`,
			o.ID, id, now, tx.Now.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// pushed is what an object becomes that is pushed to a repository. It takes
// nothing from what was there: who vouches already goes on to.
func (tx *Tx) pushed(repo string, o Object) (Membership, error) {
	children, err := tx.Children(o.ID)
	if err != nil || len(children) == 0 {
		return Pushed, err
	}
	firm, err := tx.inRepository(repo, o.Digest, true)
	if err != nil || firm {
		return PushedWhole, err
	}
	for _, c := range children {
		if c.Role == oci.RoleSubject {
			continue
		}
		if in, err := tx.InRepository(repo, c.Digest); err != nil || !in {
			return Pushed, err
		}
	}
	return PushedWhole, nil
}

const hasSubject = `EXISTS (SELECT 1 FROM edges WHERE parent = ?1 AND role = 4)`

// Exclude takes objects out of a repository, as far as nothing there refers to
// them. Of a referrer it is remembered, for it would come with its subject again.
func (tx *Tx) Exclude(repo string, objects []int64) error {
	id, err := tx.repositoryID(repo)
	if err != nil {
		return err
	}
	for _, o := range objects {
		_, err := tx.exec(`DELETE FROM repository_objects WHERE object = ?1 AND repository = ?2 AND NOT `+hasSubject, o, id)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO repository_objects (object, repository, how, at) SELECT ?1, ?2, 3, ?3 WHERE `+hasSubject+`
			ON CONFLICT (object, repository) DO UPDATE SET how = 4, at = excluded.at WHERE how NOT IN (3, 4)`,
			o, id, tx.Now.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// repositoryID is the id of a repository, written when it is new.
func (tx *Tx) repositoryID(name string) (id int64, err error) {
	const query = `SELECT id FROM repositories WHERE name = ?`
	if found, err := tx.get(query, []any{name}, &id); found || err != nil {
		return id, err
	}
	if _, err := tx.exec(`INSERT INTO repositories (name) VALUES (?)`, name); err != nil {
		return 0, err
	}
	_, err = tx.get(query, []any{name}, &id)
	return id, err
}
