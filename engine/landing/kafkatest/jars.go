package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrMissing says that Java, Maven or the jars are not to be had here.
var ErrMissing = errors.New("no Kafka can be run here")

// Version of Apache Kafka. Another version makes another folder.
const Version = "4.1.1"

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>landfall</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + Version + `</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`

// tools is what a broker needs.
type tools struct {
	java string // the program
	jars string // a folder of jars
}

// find looks for Java and the jars, once a process, and fetches these if need
// be. What failed once is not tried again.
var find = onceWith(func(ctx context.Context) (tools, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return tools{}, fmt.Errorf("%w: no java: %w", ErrMissing, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return tools{}, fmt.Errorf("%w: no cache directory: %w", ErrMissing, err)
	}
	dir := filepath.Join(cache, "landfall-test-kafka-"+Version)
	if err := install(ctx, dir); err != nil {
		return tools{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return tools{java: java, jars: filepath.Join(dir, "jars")}, nil
})

func onceWith(f func(context.Context) (tools, error)) func(context.Context) (tools, error) {
	var once sync.Once
	var found tools
	var err error
	return func(ctx context.Context) (tools, error) {
		once.Do(func() { found, err = f(ctx) })
		return found, err
	}
}

// install fetches the jars with Maven, once, whichever processes ask at a time.
func install(ctx context.Context, dir string) error {
	stamp := filepath.Join(dir, "installed")
	if _, err := os.Stat(stamp); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	if _, err := os.Stat(stamp); err == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o644); err != nil {
		return err
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("no mvn to fetch Kafka with: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, "jars"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Kafka %s: %w: %s", Version, err, out)
	}
	return os.WriteFile(stamp, []byte(Version), 0o644)
}
