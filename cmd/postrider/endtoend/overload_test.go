//go:build linux

package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// anonymous returns the memory of the daemon that is not backed by a file, in MiB.
func (d *daemon) anonymous() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.in.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				d.in.t.Fatal(err)
			}
			return kib >> 10
		}
	}
	d.in.t.Fatal("no RssAnon in the daemon's status")
	return 0
}

func TestOverloadIsRefusedInTimeAndLosesNothing(t *testing.T) {
	const limit, most = 1000, 200 // events; MiB
	seconds := chaos.Setting(t, "POSTRIDER_SECONDS", 5)
	in := install(t, fmt.Sprintf("limits: {backlog: %d}", limit))
	d := in.serve()
	turns := make(chan struct{}, 64) // one for every tenth publish, so that the receiver is ten times slower on any machine
	r := receive(t, func(int, received) int {
		<-turns
		return 200
	})
	d.subscribe("stock.item.changed", r.URL)

	o := newOracle()
	var offered, refused, next atomic.Int64
	var publishers sync.WaitGroup
	enough := time.Now().Add(time.Duration(seconds) * time.Second)
	memory, waiting := 0, 0
	for range 32 {
		publishers.Go(func() {
			for time.Now().Before(enough) {
				id := fmt.Sprintf("flood-%d", next.Add(1))
				body := fmt.Sprintf(`{"id":%q,"event":"stock.item.changed","arguments":{"id":%[1]q,"x":%q}}`, id, strings.Repeat("x", 1000))
				request, err := http.NewRequestWithContext(t.Context(), "POST", d.url+"/v1/events", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Authorization", "Bearer "+d.token)
				answer, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				answer.Body.Close()
				if offered.Add(1)%10 == 0 {
					select {
					case turns <- struct{}{}:
					default: // the receiver is not even that fast
					}
				}
				switch {
				case answer.StatusCode == 202:
					o.accept(id)
				case answer.StatusCode == 429 && answer.Header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					t.Errorf("publish: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
					return
				}
			}
		})
	}
	type depth struct{ Ready int }
	for time.Now().Before(enough) {
		memory = max(memory, d.anonymous())
		ready := 0
		for _, q := range get[page[depth]](d, "/v1/queues").Items {
			ready += q.Ready
		}
		waiting = max(waiting, ready)
		time.Sleep(50 * time.Millisecond) // between two samples
	}
	publishers.Wait()
	close(turns)
	began := time.Now()
	d.publishUntilAccepted("afterwards")
	recovery := time.Since(began)
	o.accept("afterwards")
	row := o.audit(t, d, r)
	t.Logf("%d publishes refused, at most %d events were waiting, %d MiB of anonymous memory at most", refused.Load(), waiting, memory)
	if refused.Load() == 0 {
		t.Error("no publish was refused")
	}
	if waiting > 2*limit {
		t.Errorf("%d events were waiting, the limit is %d", waiting, limit)
	}
	if memory > most {
		t.Errorf("the daemon used %d MiB of anonymous memory, more than %d", memory, most)
	}
	row.Faults = fmt.Sprintf("publishers ten times faster than the receiver for %d s (%d publishes refused)", seconds, refused.Load())
	row.Burnt, row.Recovery = chaos.NotMeasured, recovery
	chaos.Report(t, row)
	d.stopAtRest()
}

// publishUntilAccepted publishes one event, as often as it is refused.
func (d *daemon) publishUntilAccepted(id string) {
	eventually(d.in.t, "a publish is accepted", func() bool {
		status, answer := d.call("POST", "/v1/events", publication(id))
		if status != 202 && status != 429 {
			d.in.t.Fatalf("publish: %d %s", status, answer)
		}
		return status == 202
	})
}

func TestIdleAndSlowConnectionsToTheAPIHoldNobodyUp(t *testing.T) {
	t.Parallel()
	count := chaos.Setting(t, "POSTRIDER_CONNECTIONS", 1000)
	in := install(t)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	before := d.descriptors()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var idle []net.Conn
	for range count {
		idle = append(idle, dial())
	}
	eventually(t, "the daemon has taken all idle connections", func() bool { return d.descriptors() >= before+count })
	const begin = "POST /v1/events HTTP/1.1\r\nHost: postrider\r\n"
	slow := map[string][]net.Conn{} // Slowloris
	for what, request := range map[string]string{
		"a header that never ends":                   begin + "X-",
		"a stranger's body that never comes":         begin + "Content-Length: 1000\r\n\r\n",
		"a stranger's chunked body that never comes": begin + "Transfer-Encoding: chunked\r\n\r\n",
		"a body that drips":                          begin + "Content-Length: 1000000\r\nAuthorization: Bearer " + d.token + "\r\n\r\n{",
	} {
		for range 100 {
			c := dial()
			if _, err := c.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			slow[what] = append(slow[what], c)
		}
	}
	for _, c := range slow["a body that drips"] {
		go func() {
			for {
				if _, err := c.Write([]byte(" ")); err != nil {
					return // the daemon has had enough, or the test is over
				}
				time.Sleep(100 * time.Millisecond) // between two drops
			}
		}()
	}
	o := newOracle()
	for n := range 100 {
		id := fmt.Sprintf("meanwhile-%d", n)
		if status, answer := d.call("POST", "/v1/events", publication(id)); status != 202 {
			t.Fatalf("publish: %d %s", status, answer)
		}
		o.accept(id)
	}
	row := o.audit(t, d, r)
	for what, connections := range slow {
		for _, c := range connections {
			if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
				t.Fatalf("%s is waited for", what)
			}
		}
	}
	for _, c := range idle {
		c.Close()
	}
	eventually(t, "the descriptors are given back", func() bool { return d.descriptors() <= before+16 })
	d.stop()
	row.Faults = fmt.Sprintf("%d idle connections to the API, 100 headers that never end, 200 bodies that never come, 100 that drip", count)
	chaos.Report(t, row)
}
