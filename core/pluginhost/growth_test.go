package pluginhost_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/pluginhost"
)

// holdings are what this process, the host's, holds.
type holdings struct {
	heap                    int64 // bytes, without garbage
	goroutines, descriptors int
}

func held(t *testing.T) holdings {
	t.Helper()
	runtime.GC()
	runtime.GC() // what finalizers let go of in the first one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("the descriptors of a process are read from /proc")
	}
	return holdings{int64(m.HeapAlloc), runtime.NumGoroutine(), len(descriptors)}
}

// wear is a host whose one plugin is killed and replaced, again and again.
type wear struct {
	t         *testing.T
	h         *pluginhost.Host
	dir       string
	delivered int
}

// deliver gets a dozen deliveries through: more than a process must do that is worth starting again at once.
func (w *wear) deliver() {
	w.t.Helper()
	for range 12 {
		w.delivered++
		a, _, err := deliver(w.t.Context(), w.h, notification("web", fmt.Sprint("dlv_", w.delivered), `"ok"`))
		if err != nil || a.Outcome != core.Delivered {
			w.t.Fatalf("got %+v, %v, want it delivered", a, err)
		}
	}
}

// kill kills the process, and returns once another works.
func (w *wear) kill() {
	w.t.Helper()
	w.deliver()
	pid := find(w.t, w.h, "web").PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	for s := find(w.t, w.h, "web"); s.PID == pid || s.State != "running"; s = find(w.t, w.h, "web") {
		time.Sleep(time.Millisecond) // nothing announces it
	}
	w.deliver()
}

// swap puts a file, which is another than what runs, in its place, and returns once the process before it is gone.
func (w *wear) swap(file string) {
	w.t.Helper()
	pid := find(w.t, w.h, "web").PID
	link := filepath.Join(w.dir, ".new")
	if err := os.Link(file, link); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(w.dir, "web")); err != nil {
		w.t.Fatal(err)
	}
	for s := find(w.t, w.h, "web"); s.PID == pid || s.State != "running"; s = find(w.t, w.h, "web") {
		if _, err := w.h.Reload(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	w.deliver()
	for syscall.Kill(pid, 0) == nil {
		time.Sleep(time.Millisecond) // until it has ended
	}
}

// rounds kills and swaps so often, and returns what the host holds once it has let go of all processes but one.
func (w *wear) rounds(n int, files [2]string, goroutines int) holdings {
	w.t.Helper()
	for i := range n {
		w.kill()
		w.swap(files[i%2])
	}
	h := held(w.t)
	for deadline := time.Now().Add(20 * time.Second); goroutines != 0 && h.goroutines > goroutines && time.Now().Before(deadline); h = held(w.t) {
		time.Sleep(10 * time.Millisecond) // those of the process before end a moment after it
	}
	return h
}

// What a suite outside of the daemon sees is its resident memory, with all the room that the garbage collector keeps. A leak is seen from inside.
func TestNoKillAndNoSwapLeavesAnythingBehindInTheHost(t *testing.T) {
	const warm, measured = 6, 12
	c := configOf(t)
	install(t, c.Dir, "web", "notifier")
	var files [2]string
	for i := range files { // other inodes, and so other versions
		content, err := os.ReadFile(plugin(t, "notifier"))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = filepath.Join(t.TempDir(), "web")
		if err := os.WriteFile(files[i], content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := &wear{t: t, h: start(t, c), dir: c.Dir}
	before := w.rounds(warm, files, 0)
	after := w.rounds(measured, files, before.goroutines)
	growth := (after.heap - before.heap) / measured
	t.Logf("%d kills and as many swaps: %+v before, %+v after them; %d bytes for each of them", measured, before, after, growth)
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors {
		t.Errorf("the host holds %d goroutines and %d descriptors, after %d kills and swaps less %d and %d",
			after.goroutines, after.descriptors, measured, before.goroutines, before.descriptors)
	}
	if growth > 8<<10 {
		t.Errorf("each kill with a swap leaves %d bytes in the host's heap", growth)
	}
}
