package kafka

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLog passes on what a client warns of. Its informations are of no use
// to who runs an engine.
type clientLog struct{ logger *slog.Logger }

// Level implements kgo.Logger.
func (c clientLog) Level() kgo.LogLevel {
	switch {
	case c.logger.Enabled(context.Background(), slog.LevelDebug):
		return kgo.LogLevelInfo
	case c.logger.Enabled(context.Background(), slog.LevelWarn):
		return kgo.LogLevelWarn
	}
	return kgo.LogLevelError
}

// Log implements kgo.Logger.
func (c clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	}
	c.logger.Log(context.Background(), to, "kafka client: "+msg, keyvals...)
}
