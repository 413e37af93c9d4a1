package endtoend

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestADaemonDoesNotLeaveWhatWaitsInTheEmbeddedQueueBehind(t *testing.T) {
	t.Parallel()
	in := install(t)
	d := in.serve()
	r := receive(t, always(503))
	d.subscribe("stock.item.changed", r.URL)
	in.postrider("publish", "stock.item.changed", "--args", `{}`)
	eventually(t, "the delivery waits for its retry", func() bool { return len(r.all()) > 0 })
	d.stop()
	in.write("broker.yaml", "listen: 127.0.0.1:0\nwebhooks: [webhooks.xml]\nplugin_dir: "+filepath.Join(bin, "plugins")+"\nqueue: {url: 'amqp://guest:guest@127.0.0.1:1/'}\n")
	said := in.fails("serve", "--config", "broker.yaml")
	if !strings.Contains(said, "1 events and deliveries wait in the embedded queue") || !strings.Contains(said, "queue.url bolt:") {
		t.Errorf("the daemon says: %s", said)
	}
	d = in.serve()
	d.stop()
}
