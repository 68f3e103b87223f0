package agent

import (
	"net/http"
	"testing"
)

// TestNoWebPageReadsTheTap: a browser that reaches the status page under a
// stranger's name reads neither status nor tap, and status says that it tried.
func TestNoWebPageReadsTheTap(t *testing.T) {
	c := fileGateway(t, 10, cloud(t))
	c.Status, c.Sources[0].File.Follow, c.StatusHosts = freeAddress(t), true, []string{"gateway.example"}
	a := start(t, c, Options{})
	waitFor(t, func() bool { return a.Status().Sources[0].State == "open" })
	for host, want := range map[string]int{
		"evil.example": http.StatusMisdirectedRequest, "gateway.example": http.StatusOK, "localhost:1": http.StatusOK, c.Status: http.StatusOK,
	} {
		for _, path := range []string{"/status", "/tap?stage=received"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Status+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s of %s: %d, want %d", path, host, resp.StatusCode, want)
			}
		}
	}
	if n := a.Status().Page.RefusedHosts; n != 2 {
		t.Errorf("status counts %d", n)
	}
}
