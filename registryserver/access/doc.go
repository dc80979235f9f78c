// Package access decides who may do what at a registry server: users of an
// htpasswd file, rules of an access file, and tokens of a token server of its own.
//
// A Gate finds out who sends a request (Identify), and the Visitor that it finds
// says what he may do (May). It never looks at what a repository holds: blobs are
// for the server to give to those repositories alone that have them.
//
// # Users
//
// The htpasswd file has lines USER:HASH, where only bcrypt's hashes are taken; blank
// lines and those that begin with # are passed over. A verified password is
// remembered until it has not been used for five minutes or the file changes, as a
// code under a random key. Whether a user exists cannot be seen in how long an answer
// takes.
//
// # Rules
//
// The access file is a JSON object:
//
//	{
//	  "groups": {"ci": ["bot", "runner"]},
//	  "rules": [
//	    {"users": ["alice"], "groups": ["ci"], "repositories": ["team/**"], "actions": ["pull", "push"]},
//	    {"everyone": true, "repositories": ["docker.io/library/*"], "actions": ["pull"]},
//	    {"anonymous": true, "repositories": ["public/**"], "actions": ["pull"]}
//	  ]
//	}
//
// Rules only grant: the right is there if one rule gives it. "everyone" is every
// user who is logged in, and "anonymous" everybody, logged in or not; it gives pull
// alone, and to those without credentials only where Options.Anonymous is set. A
// repository is matched by the path that it is served at in its full form, which for
// Docker Hub has library/ (library/redis), and by its full name
// (docker.io/library/redis): either will do. In a glob, * stands for anything within
// one component, and ** for any number of whole components, none too.
//
// Without an access file users may do everything, and those without credentials
// pull everything if Options.Anonymous is set.
//
// Both files are looked at again when a request comes, once a second at most, by size,
// time and identity. A new file that does not parse changes nothing and is warned of
// once.
//
// # Tokens
//
// The token server gives tokens by distribution's token protocol: JSON Web Tokens
// with HMAC-SHA256, signed by a key that lives and dies with the Gate, good for
// five minutes. A token narrows what its user may do and never widens it: each
// request is judged by its scopes and by the rules as they are then. One whose user
// is gone, or has another password, is no good.
//
// # What it does not do
//
// It knows no sessions, no refresh tokens and no users from elsewhere. It does not
// lock out who tries passwords; it bounds how many are tried at once.
package access
