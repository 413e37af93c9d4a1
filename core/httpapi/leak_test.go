package httpapi_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No goroutine outlives its owner.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
