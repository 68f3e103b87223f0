package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"landfall/edge/durable"
)

// probePrefix begins the name of the file that CheckDir makes and removes.
const probePrefix = ".landfall-probe-"

// ProbeName gives a name for a file that is made and removed at once: another
// one each time, because several engines may try one directory together.
func ProbeName() string { return probePrefix + rand.Text() }

// CheckDir makes dir if it is absent and makes sure that files can be made in
// it. Its error is a FieldError for key. A full disk is a state, not a mistake,
// and no error.
func CheckDir(fsys durable.FS, key, dir string) error {
	err := durable.MkdirAllSync(fsys, dir)
	probe := filepath.Join(dir, ProbeName())
	if err == nil {
		err = durable.WriteFileAtomic(fsys, probe, nil)
	}
	if err == nil {
		err = fsys.Remove(probe)
	}
	if err == nil || errors.Is(err, durable.ErrNoSpace) {
		return nil
	}
	return &FieldError{Key: key, Got: err.Error(), Want: "a directory that this user may make or write"}
}

// Listening returns the FieldError for an address under key on which a net.Listen ended
// with err. An address that another program has, or that the machine does not have yet,
// as before its network is up, is busy, and not a mistake.
func Listening(key, want string, err error) error {
	busy := errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)
	return &FieldError{Key: key, Got: err.Error(), Want: want, Busy: busy}
}

// TryDir is CheckDir for who only looks: a directory that it had to make is gone
// again.
func TryDir(fsys durable.FS, key, dir string) error {
	defer Leave(fsys, dir)()
	return CheckDir(fsys, key, dir)
}

// Leave notes what of these paths is absent, and gives what removes that again,
// but for directories that somebody uses by then. What root made by looking
// would be closed to the service that is to use it.
func Leave(fsys durable.FS, paths ...string) func() {
	var absent []string
	for _, path := range paths {
		for p := filepath.Clean(path); !slices.Contains(absent, p); p = filepath.Dir(p) {
			if _, err := fsys.Stat(p); !errors.Is(err, fs.ErrNotExist) {
				break
			}
			absent = append(absent, p)
		}
	}
	slices.SortFunc(absent, func(a, b string) int { return len(b) - len(a) }) // the deepest first
	return func() {
		for _, p := range absent {
			_ = fsys.Remove(p)
		}
	}
}

// IsAddress tells whether address is host:port with a number for the port.
func IsAddress(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// IsLoopback tells whether address is host:port with a host that only this
// machine can reach.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !IsAddress(address) {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// credential begins the name of a file that the service manager hands over.
const credential = "credential:"

// credentialsDir is the variable with which it says where they lie.
const credentialsDir = "CREDENTIALS_DIRECTORY"

// Path gives the path of a file that a configuration names: itself, or for
// "credential:NAME" the credential that systemd hands the service under that
// name (LoadCredential= and SetCredentialEncrypted= of systemd.exec(5)).
func Path(name string) string {
	if id, ok := strings.CutPrefix(name, credential); ok {
		return filepath.Join(os.Getenv(credentialsDir), filepath.Base(id))
	}
	return name
}

// IsCredential tells whether name is "credential:NAME", as in Path.
func IsCredential(name string) bool { return strings.HasPrefix(name, credential) }

// IsAbsent tells whether name is a credential, and this is not the service that
// systemd hands it to.
func IsAbsent(name string) bool { return IsCredential(name) && os.Getenv(credentialsDir) == "" }

// Absent gives those of the names that are absent, as in IsAbsent.
func Absent(names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return !IsAbsent(name) })
}

// ProxySecret names the first variable of http.ProxyFromEnvironment whose proxy
// has a user in its URL; empty: none has. What stands there is handed to every
// child and shown by /proc and systemctl, so nothing of it is used.
func ProxySecret() string {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if strings.Contains(os.Getenv(name), "@") {
			return name
		}
	}
	return ""
}

// ReadFiles gives the contents of files of at most MaxFileBytes each, for
// certificates, keys, names and passwords. Names are as in Path.
func ReadFiles(fsys durable.FS, names ...string) ([][]byte, error) {
	var out [][]byte
	for _, name := range names {
		if IsAbsent(name) {
			return nil, fmt.Errorf("%s: no credentials are here: systemd hands them to the service alone", name)
		}
		name = Path(name)
		info, err := fsys.Stat(name)
		if err != nil {
			return nil, err
		}
		if info.Size() > MaxFileBytes {
			return nil, &Error{File: name, Got: strconv.FormatInt(info.Size(), 10) + " bytes", Want: "a smaller file"}
		}
		data, err := durable.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}
