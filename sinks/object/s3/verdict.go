package s3

import (
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"

	"landfall/sinks/object"
)

// Verdict says what becomes of an error of a store.
type Verdict uint8

// The verdicts.
const (
	// Passes: by itself. It is waited for.
	Passes Verdict = iota
	// Mends: when somebody changes the store, its rights or the credentials. It is
	// waited for too.
	Mends
	// Never: the store can never do what is needed of it.
	Never
)

// String returns the word that the manual has for it.
func (v Verdict) String() string { return [...]string{"passes", "mends", "never"}[v] }

// Verdicts returns what the codes of S3's errors mean here, see "Error responses" in
// the Amazon S3 API Reference. Other codes pass where the status says that the store
// cannot now (500 and above, 429), and else are mended by somebody.
func Verdicts() map[string]Verdict {
	return map[string]Verdict{
		"RequestTimeTooSkewed":  Passes, // a clock before NTP has set it
		"RequestExpired":        Passes,
		"ExpiredToken":          Passes, // until the credentials are renewed
		"InvalidToken":          Passes,
		"TokenRefreshRequired":  Passes,
		"SlowDown":              Passes,
		"TooManyRequests":       Passes,
		"RequestTimeout":        Passes,
		"OperationAborted":      Passes,
		"InternalError":         Passes,
		"ServiceUnavailable":    Passes,
		conditionalConflict:     Passes,
		"AccessDenied":          Mends,
		"InvalidAccessKeyId":    Mends,
		"SignatureDoesNotMatch": Mends,
		"NoSuchBucket":          Mends,
		notImplemented:          Never, // of a conditional write: object.ErrUnfit
	}
}

// Judge tells what becomes of an error of a store.
func Judge(err error) Verdict {
	var network net.Error
	var sending *url.Error
	var answer minio.ErrorResponse
	switch {
	case errors.Is(err, object.ErrUnfit):
		return Never
	case errors.Is(err, ErrNoAnswer), errors.As(err, &network), errors.As(err, &sending):
		return Passes
	case !errors.As(err, &answer):
		return Mends
	}
	if v, ok := Verdicts()[answer.Code]; ok && v != Never {
		return v
	}
	if answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests {
		return Passes
	}
	return Mends
}

// Transient tells whether an error may pass by itself: the store is not
// reached, does not answer, answers that it cannot now, or somebody before it
// answers.
func Transient(err error) bool { return Judge(err) == Passes }

// unfit makes the answer to a conditional write that says that there are none here
// object.ErrUnfit.
func unfit(err error) error {
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && (answer.Code == notImplemented || answer.StatusCode == http.StatusNotImplemented) {
		return &unfitError{err}
	}
	return err
}

// unfitError is object.ErrUnfit with the store's words.
type unfitError struct{ answer error }

// Error gives both.
func (e *unfitError) Error() string {
	return object.ErrUnfit.Error() + ": it does no conditional writes: " + e.answer.Error()
}

// Unwrap gives both.
func (e *unfitError) Unwrap() []error { return []error{object.ErrUnfit, e.answer} }
