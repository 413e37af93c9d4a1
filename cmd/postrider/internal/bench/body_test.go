package bench

import (
	"fmt"
	"strings"
	"testing"
)

func TestFindsTheNumberThatWasFilledIn(t *testing.T) {
	for _, batch := range []int{1, 3} {
		body := eventBody("a.b", 100, batch).clone()
		body.fill(12, 345)
		if got := len(body.Slots); got != batch {
			t.Fatalf("batch of %d: got %d slots", batch, got)
		}
		phase, event, ok := eventNumber(body.Content)
		if phase != 12 || event != 345 || !ok {
			t.Errorf("batch of %d: got phase %d event %d %v, want 12, 345, true", batch, phase, event, ok)
		}
		if !strings.Contains(string(body.Content), fmt.Sprintf("0012-%010d", 345+batch-1)) {
			t.Errorf("batch of %d: the last number is not filled in: %s", batch, body.Content)
		}
	}
	for _, body := range []string{"", `{"seq":"`, `{"seq":"0001-00000000`, `{"seq":"0001-00000000xx","pad":""}`} {
		if _, _, ok := eventNumber([]byte(body)); ok {
			t.Errorf("found a number in %q", body)
		}
	}
}

func TestPayloadsHaveTheSizeThatIsAskedFor(t *testing.T) {
	for _, want := range []int{MinSize, 100, 1024} {
		if got := len(payload(want)); got != want {
			t.Errorf("got %d bytes, want %d", got, want)
		}
	}
}
