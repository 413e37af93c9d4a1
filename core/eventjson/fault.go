package eventjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Fault says what keeps text from being a JSON text of RFC 8259, and where, as the end of a sentence "the body is …"; "": nothing does.
func Fault(text []byte) string {
	if json.Valid(text) && utf8.Valid(text) {
		return ""
	}
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
