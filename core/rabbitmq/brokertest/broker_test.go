package brokertest_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/core/rabbitmq/brokertest"
)

func TestANodeComesBackWithItsDataAfterAKillAndNothingIsLeftOfItInTheEnd(t *testing.T) {
	var addr string
	t.Run("while it runs", func(t *testing.T) {
		b := brokertest.Start(t, brokertest.Config{})
		addr = b.Addr()
		if !strings.Contains(b.URL(), addr) {
			t.Errorf("URL %s, address %s", b.URL(), addr)
		}
		b.Ctl(t, "add_vhost", "kept")
		b.Kill()
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Error("somebody listens where the node was killed")
		}
		b.Restart(t)
		if vhosts := b.Ctl(t, "list_vhosts"); !strings.Contains(vhosts, "kept") {
			t.Errorf("after the restart: %s", vhosts)
		}
	})
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the node outlives its test")
	}
	left, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("no /proc here to look for processes in")
	}
	_, port, _ := strings.Cut(addr, ":")
	for _, entry := range left {
		if line, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline"); strings.Contains(string(line), "test-"+port+"@") {
			t.Errorf("process %s is left: %s", entry.Name(), strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}
