package checkpoint

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// lakeName is the object that holds a lake's identity, as JSON:
//
//	{"format": 1, "id": "32 hex digits"}
const lakeName = "_lake/id"

// lakeFormat is the version of that object.
const lakeFormat = 1

type lakeObject struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
}

// LakeID returns the identity of the lake whose checkpoints a store keeps, and
// makes one where there is none: 32 hexadecimal digits, random. It is durable on
// return and never changes; whoever is later reads what the first made. A copy
// of the whole store is the same lake. Errors: ErrCorrupt, ErrVersion, and those
// of the store, after which there may be an identity.
func LakeID(ctx context.Context, store Store) (string, error) {
	id, err := FindLakeID(ctx, store)
	if id != "" || err != nil {
		return id, err
	}
	text, err := json.Marshal(lakeObject{lakeFormat, NewLakeID()})
	if err != nil {
		return "", err
	}
	if err := store.Create(ctx, lakeName, append(text, '\n')); err != nil && !errors.Is(err, ErrExist) {
		return "", fmt.Errorf("make the lake's identity %s: %w", lakeName, err)
	}
	return FindLakeID(ctx, store)
}

// FindLakeID is LakeID, and makes nothing: "" where there is none.
func FindLakeID(ctx context.Context, store Store) (string, error) {
	data, _, err := store.Read(ctx, lakeName)
	if errors.Is(err, ErrNotExist) {
		return "", nil
	}
	if err == nil {
		err = store.Settle(ctx, lakeName)
	}
	if err != nil {
		return "", fmt.Errorf("read the lake's identity %s: %w", lakeName, err)
	}
	var o lakeObject
	switch err := json.Unmarshal(data, &o); {
	case err != nil:
		return "", fmt.Errorf("read the lake's identity %s: %w: %w", lakeName, ErrCorrupt, err)
	case o.Format > lakeFormat:
		return "", fmt.Errorf("read the lake's identity %s: %w: format %d, known up to %d", lakeName, ErrVersion,
			o.Format, lakeFormat)
	case o.Format < 1 || !isHex(o.ID, 32):
		return "", fmt.Errorf("read the lake's identity %s: %w", lakeName, ErrCorrupt)
	}
	return o.ID, nil
}

// NewLakeID returns an identity that no lake has.
func NewLakeID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the process instead
	return hex.EncodeToString(b[:])
}
