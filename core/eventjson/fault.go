package eventjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Malformed is the error of text that is not a JSON text of RFC 8259 in UTF-8. It says what is wrong and where, as the end of a sentence "the body is …".
type Malformed string

// Error returns the end of that sentence.
func (m Malformed) Error() string { return string(m) }

// Check returns nil for JSON, else a [Malformed].
func Check(text []byte) error {
	w := newWalk(text)
	w.value()
	return w.fault()
}

// fault returns nil if the walk has come to the end of JSON, else a [Malformed]: only then it looks for the place.
func (w *walk) fault() error {
	if w.complete() && utf8.Valid(w.text) {
		return nil
	}
	return Malformed(faultIn(w.text))
}

// faultIn says what is wrong with text that is no JSON.
func faultIn(text []byte) string {
	if len(bytes.TrimSpace(text)) == 0 {
		return "empty: send JSON"
	}
	var parsed any
	err := json.Unmarshal(text, &parsed)
	if syntax, ok := err.(*json.SyntaxError); ok {
		return fmt.Sprintf("not JSON: %s, at offset %d", syntax, syntax.Offset)
	}
	if err != nil {
		return fmt.Sprintf("not JSON: %s", err)
	}
	return fmt.Sprintf("not JSON: it is not encoded in UTF-8, at offset %d", invalidUTF8(text))
}

func invalidUTF8(text []byte) int {
	for offset := 0; offset < len(text); {
		r, size := utf8.DecodeRune(text[offset:])
		if r == utf8.RuneError && size == 1 {
			return offset
		}
		offset += size
	}
	return len(text)
}
