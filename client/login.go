package client

import (
	"context"
	"fmt"

	"dist.example/registryclient"
)

// Login shows a registry a user name and a password or access token, and keeps them
// where later verbs, and other tools, find them. scope is HOST[:PORT], or
// HOST[:PORT]/PATH for what lies below a path; the user "<token>" says that the
// password is an identity token. No store is needed.
//
// Errors: ErrDenied, with nothing kept, when the registry refuses them, and those
// of registryclient.Client.Login.
func (c *Client) Login(ctx context.Context, scope, user, password string) (registryclient.Login, error) {
	remote, err := c.registry()
	if err != nil {
		return registryclient.Login{}, err
	}
	got, err := remote.Login(ctx, scope, registryclient.LoginOptions{Username: user, Password: password})
	if err != nil {
		return got, fmt.Errorf("login %s: %w", scope, err)
	}
	return got, nil
}

// Logout forgets what is kept for scope, wherever it would be found, and tells
// where it was; ErrNotFound when there was nothing. No request is made.
func (c *Client) Logout(ctx context.Context, scope string) ([]registryclient.Kept, error) {
	remote, err := c.registry()
	if err != nil {
		return nil, err
	}
	gone, err := remote.Logout(ctx, scope)
	if err != nil {
		return gone, fmt.Errorf("logout %s: %w", scope, err)
	}
	return gone, nil
}
