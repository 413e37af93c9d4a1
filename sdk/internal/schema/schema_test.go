package schema_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk/internal/schema"
)

type address struct {
	City string  `json:"city"`
	Zip  *string `json:"zip"`
}

type embedded struct {
	Page int `json:"page,omitempty"`
}

type everything struct {
	embedded
	ID       int64             `json:"id" jsonschema:"the number"`
	Name     string            `json:"name,omitempty"`
	Price    float64           `json:"price,omitzero"`
	Active   *bool             `json:"active"`
	Home     address           `json:"home,omitzero"`
	Others   []address         `json:"others,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Since    time.Time         `json:"since,omitzero"`
	From     netip.Addr        `json:"from,omitzero"`
	Raw      json.RawMessage   `json:"raw,omitempty"`
	Blob     []byte            `json:"blob,omitempty"`
	Number   json.Number       `json:"number,omitempty"`
	Any      any               `json:"any,omitempty"`
	Untagged string            `json:",omitempty"`
	Hidden   string            `json:"-"`
}

func TestAFieldIsRequiredUnlessItSaysOtherwise(t *testing.T) {
	s := derive[everything](t)
	var read struct {
		Required             []string
		Properties           map[string]any
		AdditionalProperties any
	}
	if err := json.Unmarshal(s.JSON(), &read); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read.Required, []string{"id"}) {
		t.Errorf("required: got %v, want id alone", read.Required)
	}
	if read.AdditionalProperties != false || !strings.Contains(string(s.JSON()), `"the number"`) {
		t.Errorf("got %s", s.JSON())
	}
	if _, there := read.Properties["Hidden"]; there || len(read.Properties) != 15 {
		t.Errorf("got %d properties: %s", len(read.Properties), s.JSON())
	}
}

func TestWhatEncodingJSONTakesFits(t *testing.T) {
	s := derive[everything](t)
	for _, document := range []string{
		`{"id":1}`,
		`{"id":1,"name":"a","price":1.5,"active":null,"home":{"city":"x"},"others":[{"city":"y","zip":"1"}],"labels":{"a":"b"},"page":2,
		  "since":"2026-01-31T09:30:00Z","from":"10.0.0.1","raw":{"x":[1]},"blob":"aGk=","number":12.5,"any":[null],"Untagged":"u"}`,
		` {"id":1.0e0}`,
	} {
		if err := s.Check([]byte(document), "argument"); err != nil {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestAMismatchNamesTheMemberAtFault(t *testing.T) {
	s := derive[everything](t)
	for document, want := range map[string][2]string{
		`{"id":"1"}`:                          {"id", `argument "id" is a string: it must be an integer`},
		`{"id":null}`:                         {"id", `argument "id" is null: it must be an integer`},
		`{"id":1.5}`:                          {"id", `argument "id" is a number: it must be an integer`},
		`{"id":1,"home":{"town":"x"}}`:        {"home.town", `there is no argument "home.town": there are city, zip`},
		`{"id":1,"others":[{"city":"y"},{}]}`: {"others[1].city", `argument "others[1].city" is missing`},
		`{"id":1,"labels":{"a":1}}`:           {"labels.a", `argument "labels.a" is an integer: it must be a string`},
		`{"id":1,"others":{}}`:                {"others", `argument "others" is an object: it must be an array`},
		`{}`:                                  {"id", `argument "id" is missing: the number`},
		`{"id":1} {"id":2}`:                   {"", "something follows the first value"},
		`{"id":1,"id2":2,"ID":3}`:             {"ID", `there is no argument "ID"`},
		`{"id":99999999999999999999}`:         {"id", `argument "id" is a number that doesn't fit a Go int64`},
		`{"id":1,"from":"somewhere"}`:         {"", "the arguments can't be read"},
	} {
		var target everything
		err := s.Decode([]byte(document), "argument", &target)
		var m *schema.Mismatch
		if !errors.As(err, &m) || m.Path != want[0] || !strings.Contains(m.What, want[1]) {
			t.Errorf("%s: got %#v, want %q", document, err, want)
		}
	}
}

// code is a type that says itself what it takes.
type code string

func (code) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type":"string","pattern":"^[a-z]+$","description":"letters from a to z"}`)
}

// shapeless is one that says it wrongly.
type shapeless struct{}

func (*shapeless) JSONSchema() json.RawMessage { return json.RawMessage(`{"type":1}`) }

func TestATypeMayBringItsOwnSchema(t *testing.T) {
	s := derive[struct {
		Code  code   `json:"code,omitempty"`
		Codes []code `json:"codes,omitempty"`
		Maybe *code  `json:"maybe" jsonschema:"one if you like"`
	}](t)
	if err := s.Check([]byte(`{"code":"a","codes":["b","c"],"maybe":"d"}`), "setting"); err != nil {
		t.Error(err)
	}
	for document, want := range map[string]string{
		`{"code":"A1"}`:        `setting "code" breaks the rule "pattern" of its schema: letters from a to z`,
		`{"codes":["a","A1"]}`: `setting "codes[1]" breaks the rule "pattern" of its schema: letters from a to z`,
		`{"maybe":"A1"}`:       `setting "maybe" breaks the rule "pattern" of its schema: one if you like`,
		`{"code":1}`:           `setting "code" is an integer: it must be a string`,
	} {
		if err := s.Check([]byte(document), "setting"); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", document, err, want)
		}
	}
	type wrong struct {
		A []shapeless `json:"a"`
	}
	if _, err := schema.For(reflect.TypeFor[wrong]()); err == nil || !strings.Contains(err.Error(), "schema_test.shapeless") {
		t.Errorf("got %v, want an error that names the type", err)
	}
}

func TestASchemaFromElsewhereIsCheckedInFull(t *testing.T) {
	s, err := schema.Parse(json.RawMessage(`{"type":"object","properties":{"color":{"enum":["red","green"]},"code":{"type":"string","pattern":"^[a-z]+$"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check([]byte(`{"color":"red","code":"a","more":1}`), "setting"); err != nil {
		t.Errorf("got %v", err)
	}
	for document, want := range map[string]string{
		`{"color":"blue"}`: `setting "color" breaks the rule "enum" of its schema`,
		`{"code":"A1"}`:    `setting "code" breaks the rule "pattern" of its schema`,
	} {
		if err := s.Check([]byte(document), "setting"); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", document, err, want)
		}
	}
	for _, raw := range []string{``, `[]`, `{"type":1}`, `{"properties":{"a":{"pattern":"("}}}`, `{"$ref":"#/nowhere"}`} {
		if _, err := schema.Parse(json.RawMessage(raw)); err == nil {
			t.Errorf("%s passes for a schema", raw)
		}
	}
}

func derive[T any](t *testing.T) *schema.Schema {
	t.Helper()
	s, err := schema.For(reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
