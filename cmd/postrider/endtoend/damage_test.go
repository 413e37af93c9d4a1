package endtoend

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAFlippedBitHoldsUpItsOwnRecordAloneIsNamedAndUndoneByARestore(t *testing.T) {
	t.Parallel()
	in := install(t, "retry: [1s"+strings.Repeat(", 1s", 30)+"]")
	d := in.serve()
	var well atomic.Bool
	r := receive(t, func(int, received) int {
		if well.Load() {
			return 200
		}
		return 503
	})
	d.subscribe("stock.item.changed", r.URL)
	const mark = "a bit of this will flip"
	for _, event := range []string{
		publication("before"), `{"id":"broken","event":"stock.item.changed","arguments":{"id":"broken","note":"` + mark + `"}}`, publication("after"),
	} {
		if status, answer := d.call("POST", "/v1/events", event); status != 202 {
			t.Fatalf("publish: %d %s", status, answer)
		}
	}
	d.settled("scheduled", 3)
	d.stop()
	in.postrider("db", "backup", "whole.db")
	flip(t, filepath.Join(in.dir, "data/postrider.db"), mark)

	damage := []string{`of bucket "events": the checksum does not match`, "postrider db check", "postrider db restore"}
	wantAll := func(who, said string) {
		t.Helper()
		said = strings.ReplaceAll(said, `\"`, `"`) // the log quotes its values
		for _, part := range damage {
			if !strings.Contains(said, part) {
				t.Errorf("%s does not say %q:\n%s", who, part, said)
			}
		}
	}
	wantAll("db check", in.fails("db", "check"))
	well.Store(true)
	d = in.serve()
	eventually(t, "the others arrive", func() bool { return r.got("before") && r.got("after") })
	logged := func(what string) (line string) {
		eventually(t, "the log says: "+what, func() bool {
			for l := range strings.Lines(in.log.tail(1 << 20)) {
				if strings.Contains(l, what) {
					line = l
				}
			}
			return line != ""
		})
		return line
	}
	wantAll("the log of the daemon", logged("a message needs a damaged record"))
	if status, answer := d.call("GET", "/v1/events/broken", nil); status != 500 || !strings.Contains(string(answer), "log says why") {
		t.Errorf("the event is shown as %d %s", status, answer)
	}
	wantAll("the log of the request", logged("request failed"))
	if status, answer := d.call("POST", "/v1/events", publication("broken")); status != 500 {
		t.Errorf("published again: %d %s", status, answer)
	}
	d.stop()
	for _, one := range r.all() {
		if bytes.Contains(one.Body, []byte("of this will flip")) && !bytes.Contains(one.Body, []byte(mark)) {
			t.Errorf("what was damaged is delivered: %s", one.Body)
		}
	}

	in.postrider("db", "restore", "whole.db")
	d = in.serve()
	eventually(t, "the event arrives", func() bool { return r.got("broken") })
	d.stop()
	in.postrider("db", "check")
}

// flip changes one bit of every place where mark is stored in a file.
func flip(t *testing.T, path, mark string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(mark)
	flipped[0] ^= 1
	changed := bytes.ReplaceAll(content, []byte(mark), flipped)
	if bytes.Equal(changed, content) {
		t.Fatalf("%s does not hold %q", path, mark)
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
}
