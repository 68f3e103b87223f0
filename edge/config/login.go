package config

import (
	"log/slog"
	"strings"
	"sync"

	"landfall/edge/durable"
)

// Login is a name and a password, the first lines of files or of systemd's
// credentials, read for each connection, so that a changed password is taken up
// without a restart. It is safe for concurrent use.
type Login struct {
	FS                     durable.FS
	Logger                 *slog.Logger // told of files that cannot be used; nil: nobody
	NameKey, PasswordKey   string       // of the configuration, for errors
	NameFile, PasswordFile string       // as in Path; empty: none
	mu                     sync.Mutex
	lastName, lastPassword string // as they were read last; guarded by mu
}

// Read reads both. After an error what was read before stays. Errors: FieldError.
func (l *Login) Read() error {
	name, err := l.line(l.NameKey, l.NameFile)
	if err != nil {
		return err
	}
	password, err := l.line(l.PasswordKey, l.PasswordFile)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastName, l.lastPassword = name, password
	return nil
}

func (l *Login) line(key, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := ReadFiles(l.FS, file)
	if err != nil {
		return "", &FieldError{Key: key, Got: err.Error(), Want: "a file that this user may read"}
	}
	line, _, _ := strings.Cut(string(data[0]), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", &FieldError{Key: key, Got: file + " with nothing in its first line", Want: "the secret there"}
	}
	return line, nil
}

// Newest reads both anew and gives what they hold; when they cannot be used, what
// was read last.
func (l *Login) Newest() (name, password string) {
	if err := l.Read(); err != nil && l.Logger != nil {
		l.Logger.Error("name and password cannot be read; the old ones are used", "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastName, l.lastPassword
}
