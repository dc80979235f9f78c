package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"dist.example/budgets"
	"dist.example/client"
	"dist.example/content"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

// A copy within a registry that mounts nothing takes two connections for each blob.
// All of them together keep to what there may be, and where that is one, it is said
// at once.
func TestCopiesWithinARegistryAndTheirConnections(t *testing.T) {
	t.Parallel()
	for limit := 1; limit <= 3; limit++ {
		for _, verb := range []string{"copy", "sync"} {
			t.Run(fmt.Sprintf("%s, %d", verb, limit), func(t *testing.T) {
				t.Parallel()
				reg := registry(t)
				reg.PushImage("app:v1", registrytest.Bytes(1, 6<<20), registrytest.Bytes(2, 6<<20), registrytest.Bytes(3, 6<<20), registrytest.Bytes(4, 1000))
				hide(reg, "/v2/team/")
				reg.Inject(registrytest.Match{Method: http.MethodPost, Kind: registryserver.KindUploads}, registrytest.NoMount())
				c := newClient(t, func(o *client.Options) { o.Limits = budgets.Limits{Connections: limit} })
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of the ten that it would wait
				defer cancel()
				var err error
				if verb == "copy" {
					_, err = c.Copy(ctx, reg.Ref("app:v1"), reg.Ref("team/app:v1"), client.CopyOptions{})
				} else {
					_, err = c.Sync(ctx, entries(reg.Ref("app:v1")), client.SyncOptions{To: reg.Host + "/team"})
				}
				if limit == 1 && (!errors.Is(err, content.ErrInvalid) || content.Hint(err) == "") || limit > 1 && err != nil {
					t.Errorf("got %v, hint %q", err, content.Hint(err))
				}
			})
		}
	}
}
