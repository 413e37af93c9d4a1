package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzValid compares with encoding/json.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{}`, `[]`, `[1,]`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `[1 2]`, `"\u00fF"`, `"\u00f"`, `"\u00fg"`, `"\x"`, `"\`, `"a`, "\"\x1f\"", "\"\x7f\"",
		`0`, `-0`, `01`, `-`, `1.`, `.1`, `1.5e+3`, `1e`, `1e-`, `+1`, `true`, `tru`, `truee`, `nul`, `false`, ` { "a" : [ 1 , { } , [ ] ] } `, `{}{}`, "\u00a0{}", `[[[[`, "\x00", "{\"a\":1\x00}",
		`"\b\f\n\r\t\/\"\\"`, `NaN`, `'a'`, `[1]x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := valid(text), json.Valid(text); got != want {
			t.Errorf("got %v for %q, want %v", got, text, want)
		}
	})
}

func TestNestingIsAsDeepAsEncodingJSONAllows(t *testing.T) {
	for _, depth := range []int{1, maxDepth, maxDepth + 1, 500_000} {
		for _, text := range []string{strings.Repeat("[", depth) + strings.Repeat("]", depth), strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)} {
			if got, want := valid([]byte(text)), json.Valid([]byte(text)); got != want {
				t.Errorf("got %v for %.2s nested %d deep, want %v", got, text, depth, want)
			}
		}
	}
}

func BenchmarkValid(b *testing.B) {
	text := []byte(`{"event":"stock.item.changed","arguments":{"note":"` + strings.Repeat("lorem ipsum ", 78) + `","id":12345}}`)
	for name, isValid := range map[string]func([]byte) bool{"here": valid, "encoding-json": json.Valid} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				isValid(text)
			}
		})
	}
}
