package post

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/sdk/host"
)

// Both are asked: the schema tells who writes settings, and the plugin is not at the mercy of who asked it.
func TestHeadersAreRefusedByTheirSchemaAndByThePluginAlike(t *testing.T) {
	schema, err := host.ParseSchema(fmt.Appendf(nil, `{"type":"object","properties":{"headers":%s}}`, Headers{}.JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	tooLong := strings.Repeat("x", 4097)
	for _, test := range []struct {
		name, value string
		taken       bool
	}{
		{"X-Key", "a b\tc", true}, {"authorization", "v", true}, {"Accept", "v", true}, {"Hosts", "v", true}, {"te-x", "v", true}, {"X-Webhook-Id", "grün", true},
		{"Host", "v", false}, {"hOST", "v", false}, {"content-length", "v", false}, {"Content-Encoding", "v", false}, {"Transfer-Encoding", "v", false},
		{"connection", "v", false}, {"Keep-Alive", "v", false}, {"TE", "v", false}, {"Trailer", "v", false}, {"Upgrade", "v", false}, {"Expect", "v", false},
		{"Proxy-Authorization", "v", false}, {"webhook-id", "v", false}, {"Webhook-Anything", "v", false},
		{"", "v", false}, {"a b", "v", false}, {"a:", "v", false}, {"a\r\nb", "v", false}, {"grün", "v", false},
		{"X-Key", "a\r\nX-Evil: 1", false}, {"X-Key", "a\n", false}, {"X-Key", "a\x00", false}, {"X-Key", "a\x7f", false},
	} {
		headers := Headers{test.name: test.value}
		document, err := json.Marshal(map[string]any{"headers": headers})
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Check(document, "setting"); (err == nil) != test.taken {
			t.Errorf("%q: %q: the schema says %v", test.name, test.value, err)
		}
		fields, err := headers.fields()
		if (err == nil) != test.taken || test.taken && len(fields) != 1 {
			t.Errorf("%q: %q: the plugin says %v, and sends %v", test.name, test.value, err, fields)
		}
		if err != nil && strings.Contains(err.Error(), "Evil") {
			t.Errorf("the value is shown: %v", err)
		}
	}
	if err := schema.Check(fmt.Appendf(nil, `{"headers":{"X-Key":%q}}`, tooLong), "setting"); err == nil {
		t.Error("a value of 4,097 bytes is taken")
	}
	if _, err := (Headers{"X-Key": "1", "x-key": "2"}).fields(); err == nil {
		t.Error("a name is taken twice, in different case")
	}
}
