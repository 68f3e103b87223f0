package audit

import (
	"fmt"
	"slices"
	"testing"
)

// TestAGatewayHidesNoOthersFindings: of a gateway of which thousands are found not all
// are listed, and of another, that comes last, the first ones are.
func TestAGatewayHidesNoOthersFindings(t *testing.T) {
	var f findings
	for i := range 5000 {
		f.add(Finding{Kind: KindDigest, Gateway: "mallory", Detail: fmt.Sprint(i)})
	}
	for i := range 5 {
		f.add(Finding{Kind: KindDigest, Gateway: "ada", Detail: fmt.Sprint(i)})
	}
	f.add(Finding{Kind: KindRow, Detail: "of nobody"})
	f.close()
	if n := len(f.all); n != maxFindings+firstFindings+1+2 {
		t.Fatalf("%d findings", n)
	}
	for _, want := range []Finding{
		{Kind: KindDigest, Gateway: "ada", Detail: "2"}, {Kind: KindRow, Detail: "of nobody"},
		{Kind: KindDigest, Gateway: "ada", Detail: "2 more findings of the kind digest of ada are not listed"},
		{Kind: KindDigest, Gateway: "mallory", Detail: "4900 more findings of the kind digest of mallory are not listed"},
	} {
		if !slices.Contains(f.all, want) {
			t.Errorf("not there: %+v", want)
		}
	}
}

// TestOnlyDeclares: what a lake's tables declare is no damage, and everything else is.
func TestOnlyDeclares(t *testing.T) {
	declared := []Finding{{Kind: KindLoss}, {Kind: KindConflict}, {Kind: KindSetAside}}
	for _, findings := range [][]Finding{nil, declared} {
		if r := (&Result{Findings: findings}); !r.OnlyDeclares() {
			t.Errorf("%v are damage", findings)
		}
	}
	for _, kind := range []Kind{KindMissing, KindDuplicate, KindFile, KindFileStray, KindDigest, KindHead, KindNoAnchor, KindEmpty} {
		if r := (&Result{Findings: append(declared, Finding{Kind: kind})}); r.OnlyDeclares() {
			t.Errorf("%s is no damage", kind)
		}
	}
}
