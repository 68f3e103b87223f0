package agent

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
)

// TestTheProxysPasswordComesFromFiles: read for each request, so that a changed
// one is taken up.
func TestTheProxysPasswordComesFromFiles(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Proxy-Authorization"))
	}))
	defer proxy.Close()
	dir := t.TempDir()
	keep := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var c Config
	c.Forward.Proxy, c.Forward.ProxyUsernameFile, c.Forward.ProxyPasswordFile = proxy.URL, keep("user", "pier\n"), keep("password", "a:b\r\n")
	next, err := c.ProxyTo(durable.OS{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: next}}
	said := func() string {
		t.Helper()
		resp, err := client.Get("http://engine.invalid/")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := said(); got != "Basic cGllcjphOmI=" { // pier:a:b, RFC 7617
		t.Errorf("the proxy was told %q", got)
	}
	keep("password", "new")
	if got := said(); got != "Basic cGllcjpuZXc=" { // pier:new
		t.Errorf("after the change the proxy was told %q", got)
	}
	if err := os.Remove(c.Forward.ProxyPasswordFile); err != nil {
		t.Fatal(err)
	}
	if got := said(); got != "Basic cGllcjpuZXc=" {
		t.Errorf("without the file the proxy was told %q", got)
	}
	if _, err := c.ProxyTo(durable.OS{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "forward.proxy_password_file") {
		t.Errorf("a start without the file: %v", err)
	}
}

// TestNoSecretOfTheEnvironmentIsUsed: an environment with a password is refused,
// by start and by check, and not repeated.
func TestNoSecretOfTheEnvironmentIsUsed(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "")
	}
	var c Config
	if err := c.Check(durable.OS{}); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"http://pier:s3cret@proxy:3128", "pier:s3cret@proxy:3128"} {
		t.Setenv("https_proxy", value)
		err := c.Check(durable.OS{})
		if err == nil || !strings.Contains(err.Error(), "forward.proxy: got https_proxy") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", value, err)
		}
		web := Config{Gateway: "pier", Sources: []SourceConfig{{Name: "m", MQTT: &MQTTConfig{Broker: BrokerConfig{URL: "ws://broker:80"}}}}, Forward: ForwardConfig{Proxy: "direct"}}
		if err := web.Check(durable.OS{}); err == nil || !strings.Contains(err.Error(), "sources[0].mqtt.broker.url: got https_proxy") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a broker behind it: %v", err)
		}
		direct := Config{Forward: ForwardConfig{Proxy: "direct"}}
		if err := direct.Check(durable.OS{}); err != nil {
			t.Errorf("a gateway that uses no proxy: %v", err)
		}
	}
}
