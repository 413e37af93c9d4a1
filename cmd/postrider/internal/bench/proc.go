package bench

import (
	"os"
	"strconv"
	"strings"
)

// kibibytes reads the lines of the form "name: 12 kB" in a file of /proc, in bytes.
func kibibytes(file string) map[string]int64 {
	values := map[string]int64{}
	content, err := os.ReadFile(file)
	if err != nil {
		return values // there is no /proc, or the process has ended, or it is another user's
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] == "kB" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			values[fields[0]] = n << 10
		}
	}
	return values
}
