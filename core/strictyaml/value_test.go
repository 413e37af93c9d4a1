package strictyaml_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/postrider/postrider/core/strictyaml"
)

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"syntax", "a: 1\nb: [1, 2\nc: 3\n", "f.yaml:2: not YAML, here or nearby: "},
		{"indentation", "a: 1\nb:\n  - x\n y: 1\n", "f.yaml:4: not YAML"},
		{"first line", "a: \"\\q\"\n", "f.yaml:1: not YAML"},
		{"quote", "\n\n\nx: 'abc\n", "f.yaml:4: not YAML"},
		{"tab", "a:\n\tb: 1\n", "f.yaml:2: not YAML"},
		{"unknown anchor", "a: *b\n", "f.yaml: not YAML: unknown anchor"},
		{"two documents", "a: 1\n---\nb: 2\n", "f.yaml:2: a second document begins here"},
		{"key twice", "a: 1\nb: 2\na: 3\n", `f.yaml:3: "a" stands here again, and first at f.yaml:1`},
		{"number as key", "1: a\n", `f.yaml:1: a key must be text: put "1" in quotes`},
		{"merge", "x: &x {a: 1}\ny:\n  <<: *x\n", "f.yaml:3: merge keys (<<) are not supported"},
		{"list for mapping", "- a\n", "f.yaml:1: there is a list here, where keys with values belong"},
		{"endless", "a: &a [*a]\n", "f.yaml:1: this goes deeper than 100 levels"},
		{"infinity", "a: .inf\n", `f.yaml:1: ".inf" is not a number that JSON knows`},
		{"binary", "a: !!binary aGk=\n", "f.yaml:1: a value of the type !!binary has no place here"},
		{"wrong tag", "a: !!int x\n", `f.yaml:1: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, err := strictyaml.Parse("f.yaml", []byte(test.text))
			if err == nil {
				_, err = v.Fields()
			}
			if err == nil {
				_, err = v.JSON()
			}
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got error %v, want one that starts with %q", err, test.want)
			}
		})
	}
}

func TestAliasesCannotMakeAShortDocumentHuge(t *testing.T) {
	text := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		alias := ",*" + string(c-1)
		text += string(c) + ": &" + string(c) + " [" + strings.Repeat(alias, 10)[1:] + "]\n"
	}
	v, err := strictyaml.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.JSON(); err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestAValueBecomesTheJSONOneExpects(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", `null`},
		{"# nothing\n", `null`},
		{"z: 1\na: [x, 'y', true, null, 1.5, 0x10]\n", `{"z":1,"a":["x","y",true,null,1.5,16]}`},
		{"when: 2026-01-02\nname: no\nport: 0o17\n", `{"when":"2026-01-02","name":"no","port":15}`},
		{"big: 18446744073709551615", `{"big":18446744073709551615}`},
		{"x: &x {a: 1}\ny: *x\n", `{"x":{"a":1},"y":{"a":1}}`},
		{"{}", `{}`},
	} {
		v, err := strictyaml.Parse("f.yaml", []byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.JSON()
		if err != nil || string(got) != test.want {
			t.Errorf("%q: got %s, %v, want %s", test.text, got, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1\n", "a: &a [*a]", "? {x: y}\n: z\n", "<<: 1", "--- a\n--- b", "&a\n", "a: !!binary x", "'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		v, err := strictyaml.Parse("f.yaml", content)
		if err != nil {
			return
		}
		if raw, err := v.JSON(); err == nil && !json.Valid(raw) {
			t.Fatalf("%q became %q", content, raw)
		}
	})
}
