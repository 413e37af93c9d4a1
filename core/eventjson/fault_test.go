package eventjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzCheck holds the walk against encoding/json: both take the same texts, and so do Read and ReadBatch, which check on their way.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`, `{"a":1}}`, `{} {}`, `{"a":1]`,
		`[`, `[1`, `[1,`, `[1,]`, `[,]`, `[1 2]`, `[1}`, `[[]`, `[]]`, `[{}, 7, {"event":"a.b"}, {"event":1}`, `[{"event":"a.b","event":"c.d"},{]`,
		`0`, `-`, `-0`, `01`, `1.`, `.1`, `1.5`, `1e`, `1E+`, `1e-05`, `+1`, `1_0`, `0x1`, `-a`, `1e5.5`, "1\x00", "\x00",
		`true`, `tru`, `truf`, `false`, `null`, `nul`, `nullx`, `True`, `NaN`,
		`"`, `"a`, `"\"`, `"\\"`, `"\x"`, `"\u12"`, `"\u12G4"`, `"\u123`, `"\u123G"`, `"\uD800"`, `"\u00e9\/\b\f\n\r\t"`, "\"\x7f\"", "\"\t\"", "\"\nn\"", "\"1234567\x1f\"", "\"12345678\n12345678\"",
		`"0123456789\"0123456789\\"`, `"01234567890123456789\q"`, "\"gr\u00fc\u00df\"", "\"01234567\xff\"", "\"\xed\xa0\x80\"", "\xef\xbb\xbf{}", "{}\u00a0", "{}\v",
		` { "specversion" : "1.0" , "type" : "a.b" , "data" : { "a" : [ ] } } `, `{"event":"a.b","id":"\u0031"}`, `{"\u0065vent":"a.b","x":tru}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checksAsEncodingJSON(t, text) })
}

func checksAsEncodingJSON(t *testing.T, text []byte) {
	t.Helper()
	valid := json.Valid(text) && utf8.Valid(text)
	agrees := func(who string, err error) {
		t.Helper()
		if malformed, is := err.(Malformed); is == valid || is && malformed == "" {
			t.Errorf("%s: got %v for %.100q, and for encoding/json and utf8 it is valid: %v", who, err, text, valid)
		}
	}
	agrees("Check", Check(text))
	switch First(text) {
	case '{':
		_, err := Read(text)
		agrees("Read", err)
	case '[':
		for _, most := range []int{1, 1 << 30} {
			count := 0
			agrees(fmt.Sprintf("ReadBatch, of which %d are wanted", most), ReadBatch(text, func(Envelope, error) bool {
				count++
				return count < most
			}))
			if count > most {
				t.Errorf("got %d events of %.100q, and wanted no more than %d", count, text, most)
			}
		}
	}
}

func TestAsManyBracketsAreTakenAsEncodingJSONTakes(t *testing.T) {
	for _, brackets := range []string{`[ ]`, `{"a": }`, `[{"a": }]`, `{"a":[ ]}`} {
		opening, closing, _ := strings.Cut(brackets, " ")
		each := len(closing)
		for depth := maxDepth - 2; depth <= maxDepth+2; depth++ {
			for _, inner := range []string{"", "[]", "{}", "1"} {
				checksAsEncodingJSON(t, []byte(strings.Repeat(opening, depth/each)+inner+strings.Repeat(closing, depth/each)))
			}
		}
	}
	checksAsEncodingJSON(t, []byte("["+strings.Repeat("[{}],", maxDepth)+"{}]")) // beside each other there may be any number
}

func TestABatchIsReadEventByEvent(t *testing.T) {
	var got []string
	err := ReadBatch([]byte(` [ {"event":"a.b","arguments":{"a":[1]}} , 7, {"id":"x","event":"c.d"}, {"event":"a.b","event":"a.b"}, {"specversion":"1.0","type":"e.f","data":{}} ] `),
		func(e Envelope, err error) bool {
			got = append(got, fmt.Sprintf("%s|%s|%s|%v", e.ID, e.Name, e.Arguments, err != nil))
			return true
		})
	want := []string{`|a.b|{"a":[1]}|false`, `|||true`, `x|c.d|{}|false`, `|||true`, `|e.f|{}|false`}
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %v and\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNoEventIsTakenFromWhereABatchIsBroken(t *testing.T) {
	count := 0
	err := ReadBatch([]byte(`[{"event":"a.b"},{"event":"c.d",},{"event":"e.f"}]`), func(Envelope, error) bool { count++; return true })
	if _, ok := err.(Malformed); !ok || count != 1 {
		t.Errorf("got %d events and %v, want the one before the fault, and that the text is malformed", count, err)
	}
}
