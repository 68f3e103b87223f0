package s3

import (
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// KeysIn gives credentials from a file of S3's shared form: the profile that
// AWS_PROFILE names, or default. The file is read for each request; one that
// cannot be used leaves the keys that were read before.
func KeysIn(file string) *credentials.Credentials { return credentials.New(keysIn(file)) }

// keysIn is the provider of KeysIn; an empty name: the files where S3's tools
// look.
func keysIn(file string) *keysFile {
	return &keysFile{FileAWSCredentials: credentials.FileAWSCredentials{Filename: file}}
}

// keysFile reads keys, which FileAWSCredentials takes for expired at once unless a
// program that the file names gave them a time. The Credentials that hold it call
// it from one goroutine at a time.
type keysFile struct {
	credentials.FileAWSCredentials
	last credentials.Value // the newest keys that could be used
}

// Retrieve implements credentials.Provider.
func (k *keysFile) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext implements credentials.Provider.
func (k *keysFile) RetrieveWithCredContext(c *credentials.CredContext) (credentials.Value, error) {
	v, err := k.FileAWSCredentials.RetrieveWithCredContext(c)
	if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
		k.last = v
		return v, nil
	}
	if k.last.AccessKeyID != "" && (k.last.Expiration.IsZero() || time.Now().Before(k.last.Expiration)) {
		return k.last, nil
	}
	return v, err
}
