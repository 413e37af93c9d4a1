package eventjson

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzMembers compares the walk with encoding/json on every object and array that it accepts.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ` { "a" : 1 , "b\\\"" : "\\" } `, `{"a":{"b":[1,2,{"c":"]}\\\""}]},"d":null,"e":-1.5e3,"f":true}`, `[1, "a" ,[],{},[[]] ]`, `{"":""}`, `{"\u0061":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return
		}
		text = text[SkipSpace(text, 0):]
		switch text[0] {
		case '{':
			var want map[string]json.RawMessage
			if err := json.Unmarshal(text, &want); err != nil {
				return
			}
			got := map[string][]byte{}
			for name, value := range members(text) {
				var key string
				quoted, _ := json.Marshal(string(name))
				_ = json.Unmarshal(quoted, &key) // replaces what is not UTF-8, as decoding does
				got[key] = value
			}
			if len(got) != len(want) {
				t.Fatalf("got members %q, want %q", got, want)
			}
			for name, value := range want {
				if !bytes.Equal(got[name], value) {
					t.Errorf("got %q for member %q, want %q", got[name], name, value)
				}
			}
		case '[':
			var want []json.RawMessage
			if err := json.Unmarshal(text, &want); err != nil {
				return
			}
			i := 0
			for value := range Elements(text) {
				if i >= len(want) || !bytes.Equal(value, want[i]) {
					t.Fatalf("got element %d %q, want one of %q", i, value, want)
				}
				i++
			}
			if i != len(want) {
				t.Errorf("got %d elements, want %d", i, len(want))
			}
		}
	})
}
