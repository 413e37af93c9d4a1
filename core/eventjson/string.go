package eventjson

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func (w *walk) string() {
	text := w.text
	i := w.at + 1
	for {
		for i+8 <= len(text) && !endsPlain(binary.LittleEndian.Uint64(text[i:])) {
			i += 8
		}
		for i < len(text) && text[i] >= ' ' && text[i] != '"' && text[i] != '\\' {
			i++
		}
		if i == len(text) || text[i] < ' ' {
			w.fail()
			return
		}
		if text[i] == '"' {
			w.at = i + 1
			return
		}
		length := escapeLength(text[i:])
		if length == 0 {
			w.fail()
			return
		}
		i += length
	}
}

// endsPlain says whether one of eight characters is a quote, a backslash or a control character. Eight at once take 1 KiB in 0.3 µs, one by one in 1.4.
// See "Determine if a word has a byte less than n" in Sean Eron Anderson's Bit Twiddling Hacks: subtracting borrows from a byte's highest bit.
func endsPlain(eight uint64) bool {
	const each, highest = 0x0101010101010101, 0x8080808080808080
	quotes, backslashes := eight^each*'"', eight^each*'\\' // where they are, there is a 0
	return ((eight-each*' ')&^eight|(quotes-each)&^quotes|(backslashes-each)&^backslashes)&highest != 0
}

// escapeLength returns how long the escape is that text begins with; 0: it is none.
func escapeLength(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) >= 6 && isHex(text[2]) && isHex(text[3]) && isHex(text[4]) && isHex(text[5]) {
			return 6
		}
	}
	return 0
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// Text returns what the value says if it is a string. The value is valid JSON.
func Text(value []byte) (text string, ok bool) {
	if value[0] != '"' {
		return "", false
	}
	return string(unescape(value)), true
}

// unescape returns what stands between the quotes of a JSON string. For 1 KiB with a few escapes it takes a quarter of the time of encoding/json,
// which checks first.
func unescape(quoted []byte) []byte {
	rest := quoted[1 : len(quoted)-1]
	at := bytes.IndexByte(rest, '\\')
	if at < 0 {
		return rest
	}
	text := make([]byte, 0, len(rest)) // an escape is longer than what it stands for
	for ; at >= 0; at = bytes.IndexByte(rest, '\\') {
		text = append(text, rest[:at]...)
		rest = rest[at:]
		switch c := rest[1]; c {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r, length := utf16Escape(rest)
			text = utf8.AppendRune(text, r)
			rest = rest[length:]
			continue
		default: // a quote, a backslash or a slash
			text = append(text, c)
		}
		rest = rest[2:]
	}
	return append(text, rest...)
}

// utf16Escape decodes the \u escape that text begins with, and a second one that completes its character. Half a character is U+FFFD, as for encoding/json.
func utf16Escape(text []byte) (r rune, length int) {
	r = codeUnit(text)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if both := utf16.DecodeRune(r, codeUnit(text[6:])); both != utf8.RuneError {
			return both, 12
		}
	}
	return utf8.RuneError, 6
}

func codeUnit(escape []byte) rune {
	unit, _ := strconv.ParseUint(string(escape[2:6]), 16, 16) // can't fail: they are hexadecimal digits
	return rune(unit)
}
