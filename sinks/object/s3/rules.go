package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// ErrRule says that a rule of the bucket's lifecycle would remove what must
// stay.
var ErrRule = errors.New("a lifecycle rule of the bucket removes what must stay")

// checkRules refuses a bucket whose rules abort uploads before they may be
// published, or, where checkpoints lie, expire objects. A store that has no
// rules to show, or shows them to others only, is taken at its word.
func (b *bucket) checkRules(ctx context.Context, checkpoints bool) error {
	ctx, cancel := b.request(ctx)
	defer cancel()
	rules, err := b.core.GetBucketLifecycle(ctx, b.Bucket)
	for _, code := range []string{"NoSuchLifecycleConfiguration", "NotImplemented", "AccessDenied", "MethodNotAllowed"} {
		if is(err, code) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("read the lifecycle rules of %s: %w", b.Location, err)
	}
	for _, r := range rules.Rules {
		if r.Status != "Enabled" || !b.covered(r) {
			continue
		}
		if days := int(r.AbortIncompleteMultipartUpload.DaysAfterInitiation); days > 0 && time.Duration(days)*24*time.Hour < b.cfg.Outage {
			return fmt.Errorf("%w: rule %q aborts uploads below %s after %d days; a file may wait %s to be published", ErrRule, r.ID, b.Location, days, b.cfg.Outage)
		}
		if checkpoints && expires(r) {
			return fmt.Errorf("%w: rule %q expires objects below %s, where checkpoints lie", ErrRule, r.ID, b.Location)
		}
	}
	return nil
}

// covered tells whether a rule is about anything here. Our objects have no
// tags.
func (b *bucket) covered(r lifecycle.Rule) bool {
	if !r.RuleFilter.Tag.IsEmpty() || len(r.RuleFilter.And.Tags) > 0 {
		return false
	}
	prefix := r.Prefix + r.RuleFilter.Prefix + r.RuleFilter.And.Prefix // at most one is set
	return strings.HasPrefix(b.key(""), prefix) || strings.HasPrefix(prefix, b.key(""))
}

func expires(r lifecycle.Rule) bool {
	return !r.Expiration.IsDaysNull() || !r.Expiration.IsDateNull()
}
