package eventjson

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzText compares what strings say with what they say to encoding/json.
func FuzzText(f *testing.F) {
	for _, seed := range []string{
		`""`, `"a"`, `"\""`, `"\\"`, `"\/"`, `"\b\f\n\r\t"`, `"a\\\\b"`, `"\u0041b\u00e9\u20ac"`, `"\u000a\u0000"`, `"x\ud83d\ude00y"`, `"\uD83D\uDE00"`,
		`"\ud83d"`, `"\ud83d\n"`, `"\ud83dude00"`, `"\ud83dxude00"`, `"\ud83d\tde00"`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `"\ude00\ud83d"`, `"\ud83d\\ude00"`, `"größe\n"`, `1`, `null`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		value = bytes.TrimSpace(value)
		if Check(value) != nil {
			return
		}
		var want any
		if err := json.Unmarshal(value, &want); err != nil {
			return // a number that is too large
		}
		wanted, isString := want.(string)
		if got, ok := Text(value); got != wanted || ok != isString {
			t.Errorf("got %q, %v for %q, want %q, %v", got, ok, value, wanted, isString)
		}
	})
}
