package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// A token is header.claims.signature (RFC 7519 and 7515). It is written and read
// here, in fewer lines than a library takes to be told what not to accept: one
// header, one algorithm, one key.

const (
	issuer = "dist"
	// tokenLife is how long a token is good for, and clockSkew how far a client's
	// clock may be behind.
	tokenLife = 5 * time.Minute
	clockSkew = time.Minute
	// maxToken bounds a token that is looked at.
	maxToken = 48 << 10
)

// claims are what a token says, in the form of distribution's token server. Times
// are seconds since 1970.
type claims struct {
	Issuer    string  `json:"iss"`
	Audience  string  `json:"aud"`
	Subject   string  `json:"sub"` // the user, "" for who has shown no credentials
	IssuedAt  int64   `json:"iat"`
	NotBefore int64   `json:"nbf"`
	Expires   int64   `json:"exp"`
	ID        string  `json:"jti"`
	Access    []grant `json:"access"`
	// Mark ties the token to the user's password without telling anything of it.
	Mark string `json:"mark,omitempty"`
}

// grant is a part of a token: actions on a repository, by its full name.
type grant struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

var encoding = base64.RawURLEncoding

// header is the only header of a token there is, so that no token can choose how it
// is checked.
var header = encoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

func sign(key []byte, c claims) (string, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed := header + "." + encoding.EncodeToString(data)
	return signed + "." + signature(key, signed), nil
}

func signature(key []byte, signed string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return encoding.EncodeToString(mac.Sum(nil))
}

// open reads a token that was signed with key and is for this server at this time.
func open(key []byte, token string, now time.Time) (claims, bool) {
	var c claims
	if len(token) > maxToken {
		return c, false
	}
	end := strings.LastIndexByte(token, '.')
	if end < 0 || !hmac.Equal([]byte(token[end+1:]), []byte(signature(key, token[:end]))) {
		return c, false
	}
	head, body, _ := strings.Cut(token[:end], ".")
	data, err := encoding.DecodeString(body)
	if head != header || err != nil || json.Unmarshal(data, &c) != nil {
		return claims{}, false
	}
	ok := c.Issuer == issuer && c.Audience == Service && c.NotBefore <= now.Unix() && now.Unix() < c.Expires
	return c, ok
}
