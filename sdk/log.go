package sdk

import (
	"io"
	"log/slog"
	"strings"
)

// newLogger returns a logger that writes hclog's JSON, one line each, which the daemon takes apart and writes to its own log.
func newLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch {
			case a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime:
				return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
			case a.Key == slog.LevelKey:
				return slog.String("@level", strings.ToLower(a.Value.String()))
			case a.Key == slog.MessageKey:
				return slog.String("@message", a.Value.String())
			}
			return a
		},
	}))
}

// parseLevel reads hclog's name of a level; what it doesn't know is info.
func parseLevel(name string) slog.Level {
	switch strings.ToLower(name) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error", "off":
		return slog.LevelError
	}
	return slog.LevelInfo
}
