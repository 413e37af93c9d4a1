package eventjson

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
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

// unescape returns what stands between the quotes of a JSON string.
func unescape(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // can't fail: it is valid
	return []byte(text)
}
