package registryclient

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at once than there are processors, unless it is told
// how many: most of their time is spent waiting for registries that stall.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("4")
	}
	os.Exit(m.Run())
}
