package chaos

import (
	"os"
	"testing"
)

// Missing ends a test that can't inject its faults here, for lack of a right or of a device: it fails, or is skipped where the environment allows that.
func Missing(t testing.TB, why error) {
	t.Helper()
	if os.Getenv("SKIP_SERVICES") == "1" {
		t.Skipf("not run, as SKIP_SERVICES=1 allows: %v", why)
		return
	}
	t.Fatalf("%v: run the tests as root, where /dev/fuse and mount namespaces are (a container needs --device /dev/fuse --cap-add SYS_ADMIN), "+
		"or set SKIP_SERVICES=1 to leave out what needs them", why)
}
