package page

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// MaxTaps bounds the taps of a page at a time: each keeps some thousand objects
// for a reader that is slow.
const MaxTaps = 16

// Memory is what the connections to a page take at most, bytes, without taps.
const Memory = MaxConnections * 32 << 10

// Access decides which requests a page answers, and counts the others. A browser
// on this machine can be made to ask the page under a name that a stranger's
// server gave out for 127.0.0.1 (DNS rebinding), and then lets the stranger's web
// page read the answer. Such a request names the stranger's host, so the page
// answers under its own names only. Its methods may be called from any goroutine.
type Access struct {
	names []string

	taps                      atomic.Int64 // being served
	refusedHosts, refusedTaps atomic.Uint64
	refusedConnections        atomic.Uint64
}

// Counts are the requests that were not answered.
type Counts struct {
	RefusedHosts uint64 `json:"refused_hosts"` // they named a host that is not the page's
	RefusedTaps  uint64 `json:"refused_taps"`  // taps beyond MaxTaps
	// RefusedConnections are those beyond MaxConnections, on each of which something
	// was being asked.
	RefusedConnections uint64 `json:"refused_connections"`
}

// NewAccess returns the Access of a page on address (host:port), which answers
// under the loopback addresses, localhost, the host of address and more.
func NewAccess(address string, more ...string) *Access {
	a := &Access{}
	for _, name := range append([]string{address}, more...) {
		a.names = append(a.names, hostOf(name))
	}
	return a
}

// ValidHost tells whether a name may be one of more: a host as it stands in a
// URL, without a port.
func ValidHost(name string) bool {
	return name != "" && name == strings.TrimSpace(name) && !strings.ContainsAny(name, "/@?# ") &&
		(net.ParseIP(strings.Trim(name, "[]")) != nil || !strings.ContainsAny(name, ":[]"))
}

// Counts returns the counters.
func (a *Access) Counts() Counts {
	return Counts{RefusedHosts: a.refusedHosts.Load(), RefusedTaps: a.refusedTaps.Load(), RefusedConnections: a.refusedConnections.Load()}
}

// Metrics gives the counters as metrics of a daemon.
func (c Counts) Metrics(m *Metrics) {
	m.Count("page_refused_hosts_total", "Requests to the status page that were not answered because they named another host, as with DNS rebinding.", c.RefusedHosts)
	m.Count("page_refused_taps_total", "Taps that were not served because so many were open.", c.RefusedTaps)
	m.Count("page_refused_connections_total", "Connections to the status page that found no place because so many were asking.", c.RefusedConnections)
}

// hostOf returns the host of a Host header, without port, brackets and the dot
// that ends a full name.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		header = host
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(header, "[]")), ".")
}

// allows tells whether the page is asked under a name of its own. A request
// without any (HTTP/1.0) comes from no browser.
func (a *Access) allows(header string) bool {
	host := hostOf(header)
	ip := net.ParseIP(host)
	return header == "" || host == "localhost" || ip != nil && ip.IsLoopback() || host != "" && slices.Contains(a.names, host)
}

// hosts answers 421 to requests that name another host, whatever they ask for.
func (a *Access) hosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.allows(r.Host) {
			a.refusedHosts.Add(1)
			http.Error(w, fmt.Sprintf("This page is not answered under the name %q, so that no web page from elsewhere can read it.\n"+
				"Ask under localhost or 127.0.0.1, or add the name to status_hosts in the configuration.", r.Host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bounded answers 503 to taps beyond MaxTaps.
func (a *Access) bounded(tap http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer a.taps.Add(-1)
		if a.taps.Add(1) > MaxTaps {
			a.refusedTaps.Add(1)
			http.Error(w, fmt.Sprintf("%d taps are open, which is all that this page serves: end one and ask again", MaxTaps), http.StatusServiceUnavailable)
			return
		}
		tap.ServeHTTP(w, r)
	})
}
