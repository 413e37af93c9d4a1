package endtoend

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const magento = "../../../examples/magento"

// php runs a script of the example against a broker and returns what it printed.
func php(t *testing.T, url, script string, args ...string) string {
	t.Helper()
	if _, err := os.Stat("/usr/share/php/PhpAmqpLib/autoload.php"); err != nil {
		if os.Getenv("SKIP_SERVICES") == "1" {
			t.Skip("not run, as SKIP_SERVICES=1 allows: php-amqplib is not installed")
		}
		t.Fatal("php-amqplib is not installed: `make test` installs it where it may; else run apt-get install php-cli php-amqplib, " +
			"or set SKIP_SERVICES=1 to leave out what needs it")
	}
	c := exec.Command("php", append([]string{filepath.Join(magento, script)}, args...)...)
	c.Env = append(os.Environ(), "AMQP_URL="+url)
	output, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("php %s %s: %v\n%s", script, strings.Join(args, " "), err, output)
	}
	return strings.TrimSpace(string(output))
}

func TestAMagentoShopPublishesAsItAlwaysHas(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		shopFirst bool
	}{
		{"where the shop has declared its queue", true},
		{"where Postrider declares the queue", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := broker.Start(t).VHost(t)
			if test.shopFirst {
				php(t, url, "setup.php")
			}
			definitions, err := filepath.Abs(filepath.Join(magento, "webhooks.xml"))
			if err != nil {
				t.Fatal(err)
			}
			in := install(t, onRabbitMQ(url))
			in.env = append(in.env, "POSTRIDER_WEBHOOKS="+definitions)
			d := in.serve()
			if queue := in.queue("webhook.trigger"); queue.Consumers != 1 || !queue.Exists {
				t.Errorf("the trigger queue is %+v", queue)
			}
			r := receive(t, always(200))
			d.subscribe("sales.order.created", r.URL+"/order_handler")
			id := php(t, url, "publish.php", "sales.order.created", `{"id":1}`)

			eventually(t, "the order arrives", func() bool { n, _ := r.counts(); return n == 1 })
			var body struct {
				Data struct {
					EntityID int `json:"entity_id"`
				}
			}
			if got := r.all()[0]; json.Unmarshal(got.Body, &body) != nil || body.Data.EntityID != 1 {
				t.Errorf("body is %s", got.Body)
			}
			eventually(t, "the event is known by its message-id", func() bool {
				status, said := d.call("GET", "/v1/events/"+id, nil)
				return status == 200 && strings.Contains(string(said), `"dispatched"`)
			})
			d.stop()
		})
	}
}
