package definition_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/definition"
)

// write puts a file into a new directory and returns its path.
func write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var orders = core.Service{Class: `Magento\Sales\Api\OrderRepositoryInterface`, Method: "get"}

func TestBothFormsDefineTheSameWebhooks(t *testing.T) {
	for _, file := range []string{"testdata/webhooks.yaml", "testdata/webhooks.xml"} {
		got, err := definition.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]core.Webhook{
			"sales.order.created":  {Name: "sales.order.created", Service: orders},
			"sales.order.canceled": {Name: "sales.order.canceled", Service: orders, Fresh: true},
			"stock.item.changed":   {Name: "stock.item.changed"},
		}
		for name, webhook := range got {
			if !strings.HasPrefix(webhook.Source, file+":") {
				t.Errorf("%s: got source %s, want a line of %s", name, webhook.Source, file)
			}
			webhook.Source = ""
			got[name] = webhook
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", file, got, want)
		}
	}
}

func TestTheReferenceExampleIsReadAsItStands(t *testing.T) {
	file := write(t, "webhooks.xml", `<config xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        xsi:noNamespaceSchemaLocation="urn:magento:module:Aligent_Webhooks:etc/webhooks.xsd">

    <webhook hook_name="sales.order.created">
        <service class="Magento\Sales\Api\OrderRepositoryInterface" method="get"/>
    </webhook>
    
</config>`)
	got, err := definition.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]core.Webhook{"sales.order.created": {Name: "sales.order.created", Service: orders, Source: file + ":4"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnEmptyFileDefinesNothing(t *testing.T) {
	for name, content := range map[string]string{
		"a.yaml": "", "b.yaml": "# soon\n", "c.yml": "webhooks:\n", "d.yaml": "webhooks: {}", "e.xml": "", "f.xml": "<config/>",
		"g.xml": "\uFEFF<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- soon --><config></config>\n",
	} {
		got, err := definition.Load(write(t, name, content))
		if err != nil || len(got) != 0 {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestAMistakeIsNamedWithFileAndLine(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"w.yaml", "webhook: {}", `:1: unknown key "webhook" (did you mean "webhooks"?): a definition file has webhooks`},
		{"w.yaml", "webhooks:\n  order: {}", `:2: event name "order" is not of the form entity.verb`},
		{"w.yaml", "webhooks:\n  order.cre ated: {}", `:2: event name "order.cre ated" is not of the form`},
		{"w.yaml", "webhooks:\n  a.b: {}\n  a.b: {}", `:3: "a.b" stands here again, and first at `},
		{"w.yaml", "webhooks:\n  a.b: {servise: {}}", `:2: unknown key "servise" (did you mean "service"?): webhook a.b has service, payload`},
		{"w.yaml", "webhooks:\n  a.b:\n    service: {clas: x, method: y}", `:3: unknown key "clas" (did you mean "class"?): a service has class, method`},
		{"w.yaml", "webhooks:\n  a.b: {service: {class: x}}", `:2: webhook "a.b": the service has no method: write which of "x" makes the payload`},
		{"w.yaml", "webhooks:\n  a.b: {service: {method: get}}", `:2: webhook "a.b": the service has no class`},
		{"w.yaml", "webhooks:\n  a.b: {service: {}}", `:2: webhook "a.b": the service has neither class nor method`},
		{"w.yaml", "webhooks:\n  a.b: {service: 'x::y'}", `:2: there is "x::y" here, where keys with values belong`},
		{"w.yaml", "webhooks:\n  a.b: {service: {class: [x], method: y}}", `:2: there is a list here, where plain text belongs`},
		{"w.yaml", "webhooks:\n  a.b: {payload: frsh}", `:2: webhook "a.b": a payload is frozen or fresh, not "frsh" (did you mean "fresh"?)`},
		{"w.yaml", "webhooks: [a.b]", `:1: there is a list here, where keys with values belong`},
		{"w.yaml", "webhooks: {", `not YAML`},
		{"w.xml", `<configs/>`, `:1: unknown element <configs> (did you mean "config"?): the whole file is one <config>`},
		{"w.xml", "<config>\n<webhok hook_name=\"a.b\"><service/></webhok></config>", `:2: unknown element <webhok> (did you mean "webhook"?): a <config> holds <webhook>`},
		{"w.xml", "<config>\n\n<webhook\n  name=\"a.b\"/></config>", `:3: unknown attribute "name": a <webhook> has hook_name, payload`},
		{"w.xml", "<config>\n<webhook><service/></webhook></config>", `:2: this webhook has no name: write it as hook_name="entity.verb"`},
		{"w.xml", `<config><webhook hook_name="order"/></config>`, `:1: event name "order" is not of the form`},
		{"w.xml", `<config><webhook hook_name="a.b"><service class="x"/></webhook></config>`, `:1: webhook "a.b": the service has no method`},
		{"w.xml", `<config><webhook hook_name="a.b"><service/></webhook></config>`, `:1: webhook "a.b": the service has neither class nor method`},
		{"w.xml", `<config><webhook hook_name="a.b"><service class=" x" method="y"/></webhook></config>`, `the class " x" of the service begins or ends with a space`},
		{"w.xml", "<config><webhook hook_name='a.b'><service class='x' method='y'/>\n<service class='x' method='y'/></webhook></config>",
			`:2: webhook "a.b" has a second service`},
		{"w.xml", `<config><webhook hook_name="a.b"><service class="x" methd="y"/></webhook></config>`, `unknown attribute "methd" (did you mean "method"?)`},
		{"w.xml", `<config><webhook hook_name="a.b" hook_name="a.c"/></config>`, `the attribute "hook_name" stands here twice`},
		{"w.xml", `<config><webhook hook_name="a.b" payload="stale"/></config>`, `a payload is frozen or fresh, not "stale"`},
		{"w.xml", "<config>\n\n hello\n</config>", `:3: there is text here that means nothing: "hello"`},
		{"w.xml", "<config>\n<webhook hook_name=\"a.b\">\n</config>", `:3: not XML: element <webhook> closed by </config>`},
		{"w.xml", "<config>\n<webhook hook_name=\"a.b\">", `:2: not XML: unexpected EOF`},
		{"w.xml", "<config>\n<x><y></x></config>", `not XML: element <y> closed by </x>`},
		{"w.xml", `<?xml version="1.0" encoding="latin1"?><config/>`, `the encoding latin1 is not supported: save the file as UTF-8`},
		{"w.json", `{}`, `webhooks are defined in files that end in .yaml, .yml or .xml`},
	} {
		t.Run(test.want, func(t *testing.T) {
			file := write(t, test.name, test.content)
			_, err := definition.Load(file)
			if err == nil || !strings.Contains(err.Error(), file+":") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
		})
	}
}

func TestAMissingFileSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "webhooks.yaml")
	_, err := definition.Load(file)
	if want := file + ": there is no such file: create it, or correct its name under `webhooks` in the configuration"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestAWebhookDefinedInTwoFilesNamesBothPlaces(t *testing.T) {
	first := write(t, "a.yaml", "webhooks:\n  a.b: {}\n")
	second := write(t, "b.xml", "<config>\n\n<webhook hook_name=\"a.b\"/>\n<webhook hook_name=\"a.c\"/></config>")
	got, err := definition.Load(first, second)
	want := fmt.Sprintf(`%s:3: webhook "a.b" is defined already at %s:2: remove one`, second, first)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"a.b", "a.c"}) {
		t.Errorf("got %v", names)
	}
}

func TestAllMistakesOfAllFilesAreReportedTogether(t *testing.T) {
	_, err := definition.Load(
		write(t, "a.yaml", "webhooks:\n  a: {}\n  a.b: {service: {class: x}, payload: y}\n  a.c: {x: 1, y: 2}\n"),
		write(t, "b.xml", `<config><webhook hook_name="b" x="1"/><webhook/></config>`),
		"missing.yaml",
	)
	if err == nil || strings.Count(err.Error(), "\n") != 9-1 {
		t.Errorf("got %v, want nine lines", err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"webhooks:\n  a.b: {service: {class: x, method: y}, payload: fresh}\n", "webhooks: &a {a.b: *a}", "webhooks: {a.b: {service: }}",
		`<config><webhook hook_name="a.b"><service class="x" method="y"/></webhook></config>`, `<config><config/></config>`,
		`<config><webhook><service/></webhook><service/></config>`, "<config/><config>", "<!DOCTYPE x><config>&x;</config>", "</config>",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, ending := range []string{".yaml", ".xml"} {
			file := filepath.Join(dir, "f"+ending)
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			webhooks, err := definition.Load(file)
			for name, webhook := range webhooks {
				if core.CheckName(name) != nil || name != webhook.Name || (webhook.Service.Class == "") != (webhook.Service.Method == "") {
					t.Fatalf("%q defined %+v", content, webhook)
				}
			}
			if err != nil && !strings.HasPrefix(err.Error(), file) {
				t.Fatalf("%q: an error without its place: %v", content, err)
			}
		}
	})
}
