package interop

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more columns run at once than there are processors: they wait for
// workers and brokers most of their time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
