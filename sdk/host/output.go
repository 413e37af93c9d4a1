package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

const (
	maxLine   = 64 << 10 // bytes of a line that are logged
	keptWords = 400      // bytes of what a plugin said last, for the error of its end
)

// output takes apart what a plugin prints and logs. Of standard output, the first line is the handshake.
type output struct {
	handshakeReader *io.PipeReader
	handshakeWriter *io.PipeWriter

	given hclog.Logger // that of Config
	hide  func(string) string

	mu        sync.Mutex
	logger    hclog.Logger // given, with the plugin's name
	line      string       // the handshake
	hasLine   bool
	lastLines []string // what it said last
}

func newOutput(logger hclog.Logger, path string, hide func(string) string) *output {
	o := &output{given: logger, hide: hide, logger: logger.With("plugin", filepath.Base(path))}
	o.handshakeReader, o.handshakeWriter = io.Pipe()
	return o
}

// named replaces the file's name in log lines by the plugin's.
func (o *output) named(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.logger = o.given.With("plugin", name)
}

// handshake returns the first line of standard output, and whether there was one.
func (o *output) handshake() (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.line, o.hasLine
}

// socket returns the path of the plugin's socket, or "".
func (o *output) socket() string {
	line, _ := o.handshake()
	if parts := strings.Split(line, "|"); len(parts) > 3 && parts[2] == "unix" {
		return parts[3]
	}
	return ""
}

// lastWords returns what the plugin said last, on one line.
func (o *output) lastWords() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lastLines, " | ")
}

// remember keeps a line for lastWords. Of a crash, its beginning says the most: the stack follows.
func (o *output) remember(line string) {
	line = o.hide(strings.TrimSpace(line))
	if line == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.ContainsFunc(o.lastLines, isCrash) {
		return
	}
	o.lastLines = append(o.lastLines, shorten(line, keptWords))
	if isCrash(line) {
		o.lastLines = o.lastLines[len(o.lastLines)-1:]
	}
	for total(o.lastLines) > keptWords && len(o.lastLines) > 1 {
		o.lastLines = o.lastLines[1:]
	}
}

func isCrash(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}

func total(lines []string) (n int) {
	for _, l := range lines {
		n += len(l)
	}
	return n
}

// readStdout passes the first line on to go-plugin and logs the others, until the pipe ends.
func (o *output) readStdout(r io.Reader) {
	defer o.handshakeWriter.Close()
	first := true
	eachLine(r, func(line string) {
		if !first {
			o.say(line)
			return
		}
		first = false
		o.mu.Lock()
		o.line, o.hasLine = line, true
		o.mu.Unlock()
		go func() { // go-plugin may have given up reading; then Close lets go of it
			io.WriteString(o.handshakeWriter, line+"\n") //nolint:errcheck
		}()
	})
}

// readStderr logs what is hclog's JSON as what it is, and everything else as it stands.
func (o *output) readStderr(r io.Reader) {
	crashing := false
	eachLine(r, func(line string) {
		if o.log(line) {
			return
		}
		o.remember(line)
		if crashing = crashing || isCrash(line); crashing {
			o.write(hclog.Error, line)
			return
		}
		o.write(hclog.Info, line)
	})
}

// say logs a line that the plugin printed.
func (o *output) say(line string) {
	o.remember(line)
	o.write(hclog.Info, line)
}

func (o *output) write(level hclog.Level, message string, args ...any) {
	o.mu.Lock()
	logger := o.logger
	o.mu.Unlock()
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			args[i] = o.hide(arg)
		case map[string]any, []any:
			if said, err := json.Marshal(arg); err == nil {
				args[i] = o.hide(string(said))
			}
		}
	}
	logger.Log(level, o.hide(message), args...)
}

// log logs a line of hclog's JSON, as the SDK's Logger writes it, and reports whether it is one.
func (o *output) log(line string) bool {
	if !strings.HasPrefix(line, "{") {
		return false
	}
	var members map[string]any
	if json.Unmarshal([]byte(line), &members) != nil {
		return false
	}
	message, ok := members["@message"].(string)
	if !ok {
		return false
	}
	word, _ := members["@level"].(string)
	level := hclog.LevelFromString(word)
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	var args []any
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if !strings.HasPrefix(key, "@") {
			args = append(args, key, members[key])
		}
	}
	if level >= hclog.Error {
		o.remember(message)
	}
	o.write(level, message, args...)
	return true
}

// prints returns a writer for what the plugin prints through go-plugin's stream.
func (o *output) prints() io.Writer { return &lineWriter{line: o.say} }

// lineWriter cuts what is written into lines. One goroutine may write.
type lineWriter struct {
	line    func(string)
	partial []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.partial = append(w.partial, b...)
	for {
		i := bytes.IndexByte(w.partial, '\n')
		if i < 0 && len(w.partial) <= maxLine {
			return len(b), nil
		}
		if i < 0 {
			i = maxLine
		}
		w.line(string(w.partial[:i]))
		w.partial = append(w.partial[:0], w.partial[min(i+1, len(w.partial)):]...)
	}
}

// eachLine calls f with every line, those over maxLine cut short, until the reader ends.
func eachLine(r io.Reader, f func(string)) {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := b.ReadSlice('\n')
		if len(line) > 0 {
			f(strings.ToValidUTF8(strings.TrimRight(string(line), "\r\n"), "\uFFFD"))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
