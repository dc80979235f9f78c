package cmd

import "dist.example/client"

// accessFlags say who may do what at a served store.
type accessFlags struct {
	Htpasswd  string `type:"path" placeholder:"FILE" help:"Ask for a user and a password of FILE (bcrypt)."`
	Access    string `type:"path" placeholder:"FILE" help:"Let users do what the rules of FILE (JSON) say, and nothing else."`
	Anonymous string `enum:",pull,none" default:"" placeholder:"pull|none" help:"What may be done without a password: pull, or none, which is so with --htpasswd unless told otherwise."`
	URL       string `name:"url" placeholder:"URL" complete:"none" help:"Where clients reach the server, if it is behind a proxy: they are sent there to log in."`
}

func (f accessFlags) options() client.AccessOptions {
	return client.AccessOptions{Htpasswd: f.Htpasswd, Rules: f.Access, Anonymous: f.Anonymous, URL: f.URL}
}
