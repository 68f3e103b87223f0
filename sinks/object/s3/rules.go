package s3

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// ErrRule says that a rule of the bucket's lifecycle would remove what must
// stay.
var ErrRule = errors.New("a lifecycle rule of the bucket removes what must stay")

// Notes are what a store was not seen to do as it should, and does no harm
// until somebody relies on it: for people.
type Notes []string

// checkRules refuses a bucket whose rules abort uploads before they may be
// published, or, where checkpoints lie, expire or archive objects. A store that
// has no rules to show is taken at its word; that they may not be read is a
// note.
func (b *bucket) checkRules(ctx context.Context, checkpoints bool) error {
	if b.cfg.ReadOnly {
		return nil
	}
	var rules *lifecycle.Configuration
	err := b.call(ctx, 0, func(ctx context.Context) (err error) {
		rules, err = b.core.GetBucketLifecycle(ctx, b.Bucket)
		return err
	})
	for _, code := range []string{"NoSuchLifecycleConfiguration", "NotImplemented", "MethodNotAllowed"} {
		if is(err, code) {
			return nil
		}
	}
	if is(err, "AccessDenied") {
		b.notes = append(b.notes, fmt.Sprintf("the lifecycle rules of bucket %s may not be read (s3:GetLifecycleConfiguration): make sure that none aborts uploads sooner than %s, or expires %s",
			b.Bucket, b.cfg.Outage, b.Location))
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the lifecycle rules of %s: %w", b.Location, err)
	}
	for _, r := range rules.Rules {
		if r.Status != "Enabled" || !b.covered(r) {
			continue
		}
		if err := b.checkRule(r, checkpoints); err != nil {
			return err
		}
	}
	return nil
}

const day = 24 * time.Hour

func (b *bucket) checkRule(r lifecycle.Rule, checkpoints bool) error {
	abort := r.AbortIncompleteMultipartUpload
	if !abort.IsDaysNull() && time.Duration(abort.DaysAfterInitiation)*day < b.cfg.Outage {
		return fmt.Errorf("%w: rule %q aborts uploads below %s after %d days, and a file may wait %s to be published: give it %.0f days, or another prefix",
			ErrRule, r.ID, b.Location, abort.DaysAfterInitiation, b.cfg.Outage, math.Ceil(b.cfg.Outage.Hours()/24))
	}
	if checkpoints && (!r.Expiration.IsDaysNull() || !r.Expiration.IsDateNull()) {
		return fmt.Errorf("%w: rule %q expires objects below %s, where checkpoints lie: give it the prefixes of tables", ErrRule, r.ID, b.Location)
	}
	if checkpoints && slices.Contains([]string{"GLACIER", "DEEP_ARCHIVE"}, r.Transition.StorageClass) {
		return fmt.Errorf("%w: rule %q archives objects below %s, where checkpoints lie: give it the prefixes of tables", ErrRule, r.ID, b.Location)
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
