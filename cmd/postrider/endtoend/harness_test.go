// Package endtoend tests Postrider as its users meet it: the built program, real plugin processes, a real file, real HTTP, real time. Nothing in
// it knows the code.
package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin holds the program, plugins/ and examples/, built once.
var bin string

func TestMain(m *testing.M) {
	for _, name := range []string{"POSTRIDER_DATA_DIR", "POSTRIDER_URL", "POSTRIDER_TOKEN"} { // of a daemon of whoever runs the tests
		if err := os.Unsetenv(name); err != nil {
			log.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "postrider-e2e-")
	if err != nil {
		log.Fatal(err)
	}
	bin = dir
	for out, pkg := range map[string]string{
		"postrider":                "cmd/postrider",
		"plugins/notifier-http":    "plugins/notifier-http",
		"plugins/resolver-orders":  "examples/resolver-orders",
		"plugins/notifier-console": "examples/notifier-console",
		"chaos":                    "cmd/postrider/endtoend/testdata/chaos",
	} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, out), "github.com/postrider/postrider/"+pkg)
		if output, err := build.CombinedOutput(); err != nil {
			log.Fatalf("build %s: %v\n%s", pkg, err, output)
		}
	}
	code := m.Run()
	broker.Stop()
	os.RemoveAll(dir)
	os.Exit(code)
}

// builds keeps what a few tests need from being built twice.
var builds sync.Map

// built returns the binary of a package that only a few tests need: built when the first of them asks.
func built(t *testing.T, pkg string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		out := filepath.Join(bin, "more", filepath.Base(pkg))
		if output, err := exec.Command("go", "build", "-o", out, "github.com/postrider/postrider/"+pkg).CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", pkg, err, output)
		}
		return out, nil
	}))
	out, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// patience is how long anything that should happen soon may take on a busy machine.
const patience = 60 * time.Second

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	waitFor(t, patience, what, condition)
}

// waitFor is eventually for what takes longer.
func waitFor(t *testing.T, patience time.Duration, what string, condition func() bool) {
	t.Helper()
	if !within(patience, condition) {
		t.Fatalf("waited %s in vain until %s", patience, what)
	}
}

// within waits until condition holds, and reports whether it did in time.
func within(patience time.Duration, condition func() bool) bool {
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

// installation is a directory as an operator has it: configuration, definitions, data.
type installation struct {
	t   *testing.T
	dir string
	log *lockedBuffer

	env     []string                     // what commands find in their environment, beside PATH and HOME
	wrap    func(args []string) []string // how the daemon is started; nil: as it is
	dataDir func(d *daemon) string       // where this process finds its data directory; nil: data in dir
}

const ordersXML = `<config xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        xsi:noNamespaceSchemaLocation="urn:magento:module:Aligent_Webhooks:etc/webhooks.xsd">
    <webhook hook_name="sales.order.created">
        <service class="Magento\Sales\Api\OrderRepositoryInterface" method="get"/>
    </webhook>
    <webhook hook_name="stock.item.changed"/>
</config>
`

// install writes a configuration; extra lines of YAML go into it.
func install(t *testing.T, extra ...string) *installation {
	t.Helper()
	in := &installation{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	in.write("webhooks.xml", ordersXML)
	in.configure(extra...)
	return in
}

// configure writes the configuration anew.
func (in *installation) configure(extra ...string) {
	in.t.Helper()
	in.write("postrider.yaml", "listen: 127.0.0.1:0\nwebhooks: [webhooks.xml]\nplugin_dir: "+filepath.Join(bin, "plugins")+
		"\negress: {allow: [127.0.0.1]}\n"+strings.Join(extra, "\n")+"\n")
}

func (in *installation) write(name, content string) {
	in.t.Helper()
	if err := os.WriteFile(filepath.Join(in.dir, name), []byte(content), 0o644); err != nil {
		in.t.Fatal(err)
	}
}

// read returns a file of the daemon's data directory; "": there is none.
func (d *daemon) read(name string) string {
	dir := filepath.Join(d.in.dir, "data")
	if d.in.dataDir != nil {
		dir = d.in.dataDir(d)
	}
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

func (in *installation) command(args ...string) *exec.Cmd {
	args = append([]string{filepath.Join(bin, "postrider")}, args...)
	if in.wrap != nil {
		args = in.wrap(args)
	}
	c := exec.Command(args[0], args[1:]...)
	c.Dir = in.dir
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + in.dir}, in.env...)
	return c
}

// plural counts things: "1 kill", "3 kills".
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// postrider runs a command to its end and returns what it printed.
func (in *installation) postrider(args ...string) string {
	in.t.Helper()
	var out, errs bytes.Buffer
	c := in.command(args...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		in.t.Fatalf("postrider %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// fails runs a command that must fail and returns what it said.
func (in *installation) fails(args ...string) string {
	in.t.Helper()
	output, err := in.command(args...).CombinedOutput()
	if err == nil {
		in.t.Fatalf("postrider %s succeeded:\n%s", strings.Join(args, " "), output)
	}
	return string(output)
}

// daemon is a running `postrider serve`.
type daemon struct {
	in    *installation
	cmd   *exec.Cmd
	ended chan error
	url   string
	token string

	before int // its open files when it was ready; 0: not known
}

// serve starts the daemon and waits until it is ready.
func (in *installation) serve() *daemon {
	in.t.Helper()
	d := in.start()
	eventually(in.t, "the daemon is ready", func() bool {
		d.mustRun()
		status, _ := d.ready()
		return status == http.StatusOK
	})
	d.before = d.descriptors()
	return d
}

// start starts the daemon and waits until its API answers.
func (in *installation) start() *daemon {
	in.t.Helper()
	os.Remove(filepath.Join(in.dir, "data/address")) // a killed daemon leaves its own
	d := &daemon{in: in, cmd: in.command("serve"), ended: make(chan error, 1)}
	d.cmd.Stdout, d.cmd.Stderr = in.log, in.log
	if err := d.cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	in.t.Cleanup(func() {
		d.kill()
		if in.t.Failed() {
			in.t.Logf("the daemon's log ends with:\n%s", in.log.tail(4000))
		}
	})
	eventually(in.t, "the daemon answers", func() bool {
		d.mustRun()
		address := d.read("address")
		if address == "" {
			return false
		}
		d.url, d.token = "http://"+address, d.read("admin-token")
		status, _ := d.ready()
		return status != 0
	})
	return d
}

// mustRun fails the test if the daemon has ended by itself.
func (d *daemon) mustRun() {
	d.in.t.Helper()
	select {
	case err := <-d.ended:
		d.in.t.Fatalf("the daemon ended: %v\n%s", err, d.in.log.tail(4000))
	default:
	}
}

// ready returns what /readyz answers; 0: nothing.
func (d *daemon) ready() (status int, body string) {
	answer, err := http.Get(d.url + "/readyz")
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, ""
	}
	return answer.StatusCode, string(content)
}

// kill ends the daemon with SIGKILL, in the middle of whatever it does.
func (d *daemon) kill() {
	if d.cmd.ProcessState == nil {
		d.cmd.Process.Kill()
		select {
		case <-d.ended:
		case <-time.After(patience):
			d.in.t.Error("the daemon does not end")
		}
		d.ended <- nil
	}
}

// stop ends the daemon as an operator would.
func (d *daemon) stop() {
	d.in.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-d.ended:
		if err != nil {
			d.in.t.Errorf("the daemon ended with %v\n%s", err, d.in.log.tail(4000))
		}
		d.ended <- err
		d.in.leavesNoPlugins()
	case <-time.After(patience):
		d.in.t.Fatal("the daemon does not stop")
	}
}

// call sends one API request and returns the status and the body.
func (d *daemon) call(method, path string, body any) (int, []byte) {
	d.in.t.Helper()
	var content io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(body)
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			d.in.t.Fatal(err)
		}
		content = bytes.NewReader(encoded)
	}
	status, answer, err := d.try(method, path, content)
	if err != nil {
		d.in.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, answer
}

func (d *daemon) try(method, path string, body io.Reader) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, d.url+path, body)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+d.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, content, err
}

// subscribe makes a subscriber through the reference route.
func (d *daemon) subscribe(event, url string) (id int) {
	d.in.t.Helper()
	status, body := d.call("POST", "/rest/v1/webhook", map[string]any{"webhook": map[string]any{
		"event_name": event, "recipient_url": url, "verification_token": "fv38u07Wdh$R@mRd", "metadata": "default",
	}})
	var made struct {
		ID int `json:"subscription_id"`
	}
	if json.Unmarshal(body, &made) != nil || status != http.StatusOK && status != http.StatusCreated || made.ID == 0 {
		d.in.t.Fatalf("subscribe: %d %s", status, body)
	}
	return made.ID
}

// get decodes the answer to a GET.
func get[T any](d *daemon, path string) T {
	d.in.t.Helper()
	status, body := d.call("GET", path, nil)
	var v T
	if err := json.Unmarshal(body, &v); err != nil || status != http.StatusOK {
		d.in.t.Fatalf("GET %s: %d %s (%v)", path, status, body, err)
	}
	return v
}

// settled waits until the daemon has noted of n deliveries that they are in state. What has reached a receiver is not noted yet, and comes again after a kill.
func (d *daemon) settled(state string, n int) {
	d.in.t.Helper()
	eventually(d.in.t, fmt.Sprintf("%d deliveries are %s", n, state), func() bool {
		return len(get[page[delivery]](d, "/v1/deliveries?limit=1000&state="+state).Items) == n
	})
}

// received is one request that a receiver got.
type received struct {
	ID      string
	Event   string // the id in its payload, if there is one
	Attempt string
	At      time.Time
	Body    []byte
	Header  http.Header
}

// receiver is an endpoint that remembers what it got and answers as answer says.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	list []received // in the order of their times
	byID map[string]int
	took map[string]bool // by event: answered with success
}

// receive starts a receiver; answer is called with the request's place in line, from 1, and returns the status.
func receive(t *testing.T, answer func(n int, r received) int) *receiver {
	r := &receiver{byID: map[string]int{}, took: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		one := received{q.Header.Get("webhook-id"), eventIn(body), q.Header.Get("webhook-attempt"), time.Time{}, body, q.Header}
		r.mu.Lock()
		one.At = time.Now()
		r.list = append(r.list, one)
		r.byID[one.ID]++
		n := len(r.list)
		r.mu.Unlock()
		status := answer(n, one)
		if status/100 == 2 {
			r.mu.Lock()
			r.took[one.Event] = true
			r.mu.Unlock()
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "answer %d", n)
	}))
	t.Cleanup(r.Close)
	return r
}

func always(status int) func(int, received) int { return func(int, received) int { return status } }

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.list...)
}

// counts returns how many deliveries came, and how many requests beyond the first of each.
func (r *receiver) counts() (deliveries, duplicates int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byID), len(r.list) - len(r.byID)
}

func (r *receiver) got(event string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took[event]
}

func (r *receiver) repeats() (duplicated, beyondFirst int) {
	type try struct{ event, attempt string }
	seen := map[try]bool{}
	for _, one := range r.all() {
		this := try{one.Event, one.Attempt}
		if seen[this] {
			duplicated++
		}
		if seen[this] = true; one.Attempt != "1" {
			beyondFirst++
		}
	}
	return duplicated, beyondFirst
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	return s[max(0, len(s)-n):]
}
