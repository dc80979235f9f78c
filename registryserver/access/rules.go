package access

import (
	"slices"

	"dist.example/oci"
)

// Action is something that a visitor does to a repository.
type Action string

// The actions, by the words that scopes have for them.
const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
)

// actions are all there are, in the order in which they are written.
var actions = []Action{Pull, Push, Delete}

// rule gives some actions on some repositories to some visitors.
type rule struct {
	users, groups       []string
	everyone, anonymous bool
	repositories        []glob
	actions             []Action
}

// rules are an access file.
type rules struct {
	groups map[string][]string
	rules  []rule
}

// allow says whether a rule gives user ("" has no credentials) the action on the
// repository with that path and name.
func (rs *rules) allow(user string, a Action, path, name string) bool {
	return slices.ContainsFunc(rs.rules, func(r rule) bool {
		return slices.Contains(r.actions, a) && rs.isFor(r, user) && slices.ContainsFunc(r.repositories, func(g glob) bool {
			return g.matches(path) || g.matches(name)
		})
	})
}

// isFor says whether r is for user.
func (rs *rules) isFor(r rule, user string) bool {
	switch {
	case r.anonymous:
		return true
	case user == "":
		return false
	case r.everyone || slices.Contains(r.users, user):
		return true
	}
	return slices.ContainsFunc(r.groups, func(group string) bool { return slices.Contains(rs.groups[group], user) })
}

// parseRules reads an access file. Errors: ErrInvalid, with the line.
func parseRules(data []byte) (*rules, error) {
	rs, r := &rules{groups: map[string][]string{}}, oci.NewStrictJSON(data)
	err := r.Object(func(key string) error {
		switch key {
		case "groups":
			return r.Object(rs.readGroup(r))
		case "rules":
			return r.List(rs.readRule(r))
		}
		return r.Fail("no such key: %.40q", key)
	})
	if err != nil {
		return nil, err
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return rs, rs.checkGroups(r)
}

func (rs *rules) readGroup(r *oci.StrictJSON) func(string) error {
	return func(name string) error {
		members, err := r.Texts()
		rs.groups[name] = members
		return err
	}
}

// checkGroups refuses rules for groups that there are not, which can stand behind
// the rules.
func (rs *rules) checkGroups(r *oci.StrictJSON) error {
	for i, one := range rs.rules {
		for _, group := range one.groups {
			if _, ok := rs.groups[group]; !ok {
				return r.Fail("rule %d of the file is for the group %.40q, which is not there", i+1, group)
			}
		}
	}
	return nil
}

// strangers are those that rules and groups name and that are not among users: most
// likely misspelt, or yet to come.
func (rs *rules) strangers(users map[string][]byte) []string {
	var who []string
	add := func(names []string) {
		for _, name := range names {
			if _, ok := users[name]; !ok {
				who = append(who, name)
			}
		}
	}
	for _, r := range rs.rules {
		add(r.users)
	}
	for _, members := range rs.groups {
		add(members)
	}
	slices.Sort(who)
	return slices.Compact(who)
}

func (rs *rules) readRule(r *oci.StrictJSON) func() error {
	return func() error {
		var one rule
		if err := r.Object(func(key string) error { return one.read(r, key) }); err != nil {
			return err
		}
		rs.rules = append(rs.rules, one)
		return one.check(r)
	}
}

// read reads one field.
func (one *rule) read(r *oci.StrictJSON, key string) (err error) {
	switch key {
	case "users":
		one.users, err = r.Texts()
	case "groups":
		one.groups, err = r.Texts()
	case "everyone":
		one.everyone, err = r.Bool()
	case "anonymous":
		one.anonymous, err = r.Bool()
	case "repositories":
		err = r.List(func() error { return one.readGlob(r) })
	case "actions":
		err = r.List(func() error { return one.readAction(r) })
	default:
		err = r.Fail("no such key of a rule: %.40q", key)
	}
	return err
}

func (one *rule) readGlob(r *oci.StrictJSON) error {
	s, err := r.Text()
	if err != nil {
		return err
	}
	g, err := parseGlob(s)
	if err != nil {
		return r.Fail("repositories %.80q: %v", s, err)
	}
	one.repositories = append(one.repositories, g)
	return nil
}

func (one *rule) readAction(r *oci.StrictJSON) error {
	s, err := r.Text()
	if err != nil {
		return err
	}
	if !slices.Contains(actions, Action(s)) {
		return r.Fail("no such action: %.40q: want pull, push or delete", s)
	}
	one.actions = append(one.actions, Action(s))
	return nil
}

// check refuses a rule that gives nothing to anybody, or to visitors more than they
// can have: whoever wrote it meant something else.
func (one *rule) check(r *oci.StrictJSON) error {
	switch {
	case !one.everyone && !one.anonymous && len(one.users) == 0 && len(one.groups) == 0:
		return r.Fail("the rule is for nobody: want users, groups, everyone or anonymous")
	case len(one.repositories) == 0:
		return r.Fail("the rule has no repositories")
	case len(one.actions) == 0:
		return r.Fail("the rule has no actions")
	case one.anonymous && slices.ContainsFunc(one.actions, func(a Action) bool { return a != Pull }):
		return r.Fail("a rule with anonymous gives pull alone")
	}
	return nil
}

// rights are what a Gate goes by at one moment.
type rights struct {
	rules     *rules // nil without an access file
	anonymous bool   // those without credentials may pull
	pathOf    func(oci.Reference) string
}

// allow says whether user, "" for who has shown no credentials, may do a to repo.
func (t rights) allow(user string, a Action, repo oci.Reference) bool {
	switch {
	case user == "" && (a != Pull || !t.anonymous):
		return false
	case t.rules == nil:
		return true
	}
	return t.rules.allow(user, a, t.pathOf(repo), repo.Name())
}

// open says whether those without credentials may do anything at all.
func (t rights) open() bool {
	return t.anonymous && (t.rules == nil || slices.ContainsFunc(t.rules.rules, func(r rule) bool { return r.anonymous }))
}
