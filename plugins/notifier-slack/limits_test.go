package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestATextIsCutWhereItMayEnd(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 5, "short"},
		{"a longer one", 5, "a lo…"},
		{"äöü!", 3, "äö…"},
		{"😀😀😀", 4, "😀…"}, // Slack may count two for each
		{"12&amp;67", 6, "12…"},
		{"12&amp;67", 8, "12&amp;…"},
		{"12 & 3456", 6, "12 & …"},
		{"see <https://example.com|it>", 20, "see …"},
		{"<https://e.com|it> and more", 20, "<https://e.com|it> …"},
		{"a ```code that goes on``` b", 12, "a ```cod…```"},
		{"```code``` and then more of it", 16, "```code``` and …"},
		{"before it ```code```", 13, "before it …"},
	} {
		got := clip(test.text, test.limit)
		if got != test.want || length(got) > test.limit {
			t.Errorf("%q to %d: got %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

func TestBlocksAreShortenedEachByItsOwnLimits(t *testing.T) {
	long := strings.Repeat("x", 5000)
	var blocks []any
	document := strings.ReplaceAll(`[
		{"type":"image","image_url":"https://example.com/a.png","alt_text":"LONG","title":{"type":"plain_text","text":"LONG"}},
		{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"LONG"},"value":"LONG","confirm":{"title":{"type":"plain_text","text":"LONG"}}}]},
		{"type":"section","text":{"type":"mrkdwn","text":"a"},"accessory":{"type":"image","image_url":"https://example.com/a.png","alt_text":"LONG"}},
		{"type":"markdown","text":"LONGLONG"},
		{"type":"markdown","text":"LONGLONG"},
		{"type":"markdown","text":"LONGLONG"},
		{"type":"context","elements":[{"type":"mrkdwn","text":" "}]},
		{"type":"header","text":{"type":"plain_text","text":""}},
		{"type":"new_kind","text":"LONG"}
	]`, "LONG", long)
	if err := json.Unmarshal([]byte(document), &blocks); err != nil {
		t.Fatal(err)
	}
	at := func(value any, path ...any) string {
		for _, step := range path {
			switch step := step.(type) {
			case int:
				value = value.([]any)[step]
			case string:
				value = value.(map[string]any)[step]
			}
		}
		return value.(string)
	}
	var got any = fitBlocks(blocks)
	if n := len(got.([]any)); n != 6 {
		t.Fatalf("%d blocks are left, want 6: those that would be empty go", n)
	}
	for _, test := range []struct {
		path []any
		want int
	}{
		{[]any{0, "alt_text"}, 2000},
		{[]any{0, "title", "text"}, 2000},
		{[]any{1, "elements", 0, "text", "text"}, 75},
		{[]any{1, "elements", 0, "value"}, 2000},
		{[]any{1, "elements", 0, "confirm", "title", "text"}, 100},
		{[]any{2, "accessory", "alt_text"}, 2000},
		{[]any{3, "text"}, 10000},
		{[]any{4, "text"}, 2000}, // of 12,000 for all of them
		{[]any{5, "text"}, 5000},
	} {
		if n := length(at(got, test.path...)); n != test.want {
			t.Errorf("%v has %d characters, want %d", test.path, n, test.want)
		}
	}
}

func TestValuesAreShownAsThePayloadHasThem(t *testing.T) {
	data, err := dataOf(delivery("", `{"id":12345678901234567890,"total":19.90,"qty":3,"name":"Bob","none":null,"yes":true,"tags":["a","b"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		`{{.payload.id}}`:    "12345678901234567890",
		`{{.payload.total}}`: "19.90",
		`{{printf "%.1f %d %5s|" .payload.total .payload.qty .payload.name}}`: "19.9 3   Bob|",
		`{{printf "%d" .payload.total}}`:                                      "19.90",
		`{{printf "%.3f" .payload.qty}}`:                                      "3.000",
		`{{.payload.none}}{{.payload.nobody}}`:                                "",
		`{{.payload.yes}} {{.payload.tags}}`:                                  "true [\n  \"a\",\n  \"b\"\n]",
		`{{eq .payload.qty 3}} {{eq .payload.total 19.9}} {{ne .payload.name "Bob"}} {{eq .payload.nobody ""}}`: "true true false false",
		`{{lt .payload.qty 10}} {{gt .payload.total 100}} {{ge .payload.qty 3}} {{le .payload.nobody 1}}`:       "true false true false",
		`{{if .payload.nobody}}a{{else}}b{{end}}`:                                                               "b",
		`{{truncate 2 .payload.name}} {{truncate 9 .payload.name}}`:                                             "B… Bob",
		`{{link "javascript:alert(1)" .payload.name}}`:                                                          "Bob",
		`{{link "https://example.com/a|b>c" ""}}`:                                                               "<https://example.com/a%7Cb%3Ec|https://example.com/a¦b&gt;c>",
		`{{date "yesterday"}}`: "yesterday",
		`{{$n := .payload.name}}{{$n}}{{with .payload.tags}}{{index . 1}}{{len .}}{{end}}`: "Bobb2",
		`{{range $i, $t := .payload.tags}}{{if $i}}, {{end}}{{$t}}{{end}}`:                 "a, b",
		`{{urlquery "a b&c"}}`: "a+b%26c",
	} {
		parsed, err := parseText("text", source, escaped)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := parsed.render(data, newBudget()); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", source, got, err, want)
		}
	}
}
