//go:build !linux

package durable

import "errors"

// dataSync is a full sync where the system has no cheaper one.
func dataSync(o *osFile) error { return o.f.Sync() }

// freeBytes is not known here; callers treat errors.ErrUnsupported as "ask the
// write itself".
func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
