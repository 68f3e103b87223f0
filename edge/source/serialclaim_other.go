//go:build !linux

package source

import "errors"

// portClaim claims nothing here.
type portClaim struct{}

var errClaimed = errors.New("locked by another process")

func claimPort(string) (*portClaim, error) { return nil, nil }

func (c *portClaim) share() error { return nil }

func (c *portClaim) close() {}
