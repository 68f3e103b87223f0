package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// requestID is the header with which S3, and every store that was seen to follow it,
// names each request in its answer.
const requestID = "X-Amz-Request-Id"

// doorkeeper refuses answers that are not the store's own. A balancer without a
// store behind it answers 404 as it likes, and a client would take that for "there
// is no such object": for a HEAD that is gone.
type doorkeeper struct {
	http.RoundTripper
	names atomic.Bool // the store names requests
}

// strangerError is a refusal by somebody before the store.
type strangerError struct {
	status string
	text   string // how its body begins
}

// Error says who it was not.
func (e *strangerError) Error() string {
	return fmt.Sprintf("something before the store answered %s: %q", e.status, e.text)
}

// RoundTrip implements http.RoundTripper.
func (d *doorkeeper) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	named := answer.Header.Get(requestID) != ""
	if named {
		d.names.Store(true)
	}
	if answer.StatusCode/100 != 4 || named {
		return answer, nil
	}
	begin := make([]byte, 256)
	n, err := io.ReadFull(answer.Body, begin)
	begin = begin[:n]
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), answer.Body), answer.Body}
	text := strings.TrimSpace(string(begin))
	xml := strings.HasPrefix(text, "<?xml") || strings.HasPrefix(text, "<Error")
	// Nobody knows of an answer without a body, as to HEAD, whose it is.
	if xml || n == 0 && !d.names.Load() {
		return answer, nil
	}
	_ = answer.Body.Close() // it is refused
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	return nil, &strangerError{status: answer.Status, text: text}
}
