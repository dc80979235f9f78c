-- What manifests say, to be searched, version 8. Only a cache that `search` brings up
-- to date itself: writers only take out what has another type now, and a rebuild begins
-- without it.

-- By objects.id: the words of what search_facts has of the object, in one column for
-- each letter there, between blanks, folded, facts apart by "·". Rows of objects that
-- are gone stay until the next search that may write.
CREATE VIRTUAL TABLE search USING fts5 (
  type, platform, annotation, label, file,
  content = '', contentless_delete = 1, tokenize = 'ascii'
);

CREATE TABLE search_facts (
  object INTEGER PRIMARY KEY,  -- objects.id
  -- A fact in each line, behind a letter that says of what: t type, p platform,
  -- a annotation, l label, f file.
  facts  TEXT NOT NULL
) STRICT;
