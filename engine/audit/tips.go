package audit

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"landfall/edge/record"
	"landfall/edge/tips"
)

// TipsFile is a document in which a gateway says where each of its logs ended.
type TipsFile struct {
	Name string // for messages
	Data []byte
}

// mark sums up a log below the end of a tip.
type mark struct {
	end         uint64
	sum         record.Digest // of record and of loss
	lostUnknown bool          // a range of loss below end has no digest, or goes beyond it
	chain       record.Hash   // of the ledger at end
	hasChain    bool
}

// gatewayTips is one document that counts.
type gatewayTips struct {
	file string
	body tips.Body
	tips map[string]*tipOf // by log
}

// tipOf is a tip with what was found of its log.
type tipOf struct {
	tips.Tip
	mark *mark
}

// readTips checks the documents and marks in their logs where to sum up to.
func (a *audit) readTips() {
	for _, f := range a.Tips {
		body, signer, err := tips.Verify(f.Data, a.TipsCA, madeAt(f.Data))
		switch {
		case err == nil && !signer.Trusted:
			a.note("%s: signed under the name of %s; who issued the certificate was not checked", quoteName(f.Name), body.Gateway)
		case err == nil && revoked(signer.Leaf, a.TipsCRL):
			a.find(Finding{Kind: KindTips, Gateway: body.Gateway, File: f.Name,
				Detail: fmt.Sprintf("the tips in %s do not count: the certificate of %s that signed them was revoked, so whoever has its key could have made them up", quoteName(f.Name), body.Gateway)})
			continue
		case err == nil && len(a.TipsCRL) == 0:
			a.note("%s: whether the certificate of %s was revoked was not checked", quoteName(f.Name), body.Gateway)
		case err == nil:
		case errors.Is(err, tips.ErrUnsigned) && a.TipsCA == nil:
			a.note("%s: not signed: whoever wrote the file could have made it up", quoteName(f.Name))
		default:
			a.find(Finding{Kind: KindTips, Gateway: body.Gateway, File: f.Name, Detail: fmt.Sprintf("the tips in %s do not count: %v", quoteName(f.Name), err)})
			continue
		}
		g := &gatewayTips{file: f.Name, body: body, tips: make(map[string]*tipOf)}
		for _, t := range body.Logs {
			l := a.log(logKey{body.Gateway, t.Log})
			m := &mark{end: uint64(t.End)}
			l.marks = append(l.marks, m)
			g.tips[t.Log] = &tipOf{t, m}
		}
		a.tipsOf = append(a.tipsOf, g)
		a.addAnchors(g)
	}
}

// revoked tells whether a list names a certificate. When that was does not matter:
// who has a stolen key dates a document as he likes.
func revoked(leaf *x509.Certificate, lists []*x509.RevocationList) bool {
	for _, list := range lists {
		if bytes.Equal(list.RawIssuer, leaf.RawIssuer) && slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
			return e.SerialNumber.Cmp(leaf.SerialNumber) == 0
		}) {
			return true
		}
	}
	return false
}

// madeAt returns when a document says that it was made: its certificate had to be
// good then.
func madeAt(doc []byte) time.Time {
	body, _, err := tips.Decode(doc)
	if err != nil || body.MadeAt == record.NoTime || body.MadeAt == 0 {
		return time.Now()
	}
	return time.UnixMicro(int64(body.MadeAt))
}

// compareTips holds the lake against what gateways say.
func (a *audit) compareTips() {
	for _, g := range a.tipsOf {
		wrong := func(log, where, format string, args ...any) {
			f := logKey{g.body.Gateway, log}.of(KindTips, format, args...)
			f.File, f.Offsets = g.file, where
			a.find(f)
		}
		for i := range g.body.Logs {
			a.compareTip(g.tips[g.body.Logs[i].Log], a.logs[logKey{g.body.Gateway, g.body.Logs[i].Log}], a.laterLog(g, i), wrong)
		}
		a.compareMerged(g, wrong)
		a.unknownLogs(g, wrong)
	}
}

// found is the offset up to which a log is in the lake.
func (l *logState) found() uint64 {
	if l.claimed {
		return l.next
	}
	return l.end
}

// laterLog returns a log in the lake that a gateway opened after its i-th, "" for none. A
// gateway sends its logs one after the other: of those before a later one nothing is
// still to come, unless the gateway holds one back.
func (a *audit) laterLog(g *gatewayTips, i int) string {
	for _, t := range g.body.Logs[i+1:] {
		if l := a.logs[logKey{g.body.Gateway, t.Log}]; l != nil && l.found() > 0 {
			return t.Log
		}
	}
	return ""
}

func (a *audit) compareTip(t *tipOf, l *logState, later string, wrong func(log, where, format string, args ...any)) {
	k, have, end, acked := l.key, l.found(), uint64(t.End), uint64(t.Acked)
	switch {
	case acked > have:
		wrong(k.log, offsets(have, acked), "the cloud acknowledged log %s of %s up to offset %d, and the lake has it up to %d: not published yet, or lost; audit again after the engine's next epoch", k.log, k.gateway, acked, have)
	case l.closedAt != nil && end != uint64(*l.closedAt) && (t.Closed || end > uint64(*l.closedAt)):
		wrong(k.log, offsets(min(end, uint64(*l.closedAt)), max(end, uint64(*l.closedAt))), "log %s of %s ended at offset %d on the gateway, and the log after it says that it ended at %s", k.log, k.gateway, end, *l.closedAt)
	case end > have && later != "":
		wrong(k.log, offsets(have, end), "log %s of %s had offsets up to %d when its tips were made, and the lake has it up to %d, and log %s, which was opened after it: lost on the gateway's disk, or held back there", k.log, k.gateway, end-1, have, later)
	case end > have && a.ledgerless(): // nothing else says what has to be there
		wrong(k.log, offsets(have, end), "log %s of %s had offsets up to %d when its tips were made, and the lake has it up to %d: not sent yet, or lost, and no checkpoint tells which", k.log, k.gateway, end-1, have)
	case end > have:
		a.note("log %.8s of %s: %d offsets were on the gateway when its tips were made, and not acknowledged yet", k.log, k.gateway, end-have)
		a.unproven = append(a.unproven, fmt.Sprintf("offsets %s of log %s of %s, which were on the gateway when its tips were made and are not in the lake", offsets(have, end), k.log, k.gateway))
	case t.Closed && have > end:
		wrong(k.log, offsets(end, have), "log %s of %s ended at offset %d, and the lake has it up to %d", k.log, k.gateway, end, have)
	}
	if o := l.opening; o != nil {
		if previous := idText(o.Prev); previous != t.Previous {
			wrong(k.log, "0", "log %s of %s followed log %q on the gateway, and %q in the lake", k.log, k.gateway, t.Previous, previous)
		}
	}
	if end > have {
		return
	}
	l.tipped, l.tipClosed = max(l.tipped, end), l.tipClosed || t.Closed && end == have
	switch m := t.mark; {
	case t.Digest == "" || m.lostUnknown || !a.digests():
		l.untipped += end
	case m.sum.String() != t.Digest:
		wrong(k.log, offsets(0, end), "the records of log %s of %s below offset %d are not those that the gateway captured: their digest is %s, and it says %s", k.log, k.gateway, end, m.sum, t.Digest)
	}
	if m := t.mark; m.hasChain && t.Chain != "" && m.chain.String() != t.Chain {
		wrong(k.log, offsets(end-1, end), "the chain of log %s of %s has the hash %s at offset %d, and the gateway says %s", k.log, k.gateway, m.chain, end, t.Chain)
	}
}

func idText(id record.LogID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// merged lists the logs that a document only counts, oldest first.
func (a *audit) merged(g *gatewayTips) ([]logKey, error) {
	var all []logKey
	at := g.body.Merged.Last
	for range min(g.body.Merged.Count, uint64(len(a.logs))+1) {
		k := logKey{g.body.Gateway, at}
		l, ok := a.logs[k]
		if !ok || l.found() == 0 {
			return nil, fmt.Errorf("log %s is not in the lake", at)
		}
		all = append(all, k)
		at = a.previousOf(l)
	}
	if uint64(len(all)) != g.body.Merged.Count {
		return nil, fmt.Errorf("the lake has %d", len(all))
	}
	slices.Reverse(all)
	return all, nil
}

// previousOf returns the log before another; empty: none.
func (a *audit) previousOf(l *logState) string {
	if l.opening == nil {
		return ""
	}
	return idText(l.opening.Prev)
}

// compareMerged computes again what a document says of its oldest logs together.
func (a *audit) compareMerged(g *gatewayTips, wrong func(log, where, format string, args ...any)) {
	want := g.body.Merged
	if want.Count == 0 {
		return
	}
	keys, err := a.merged(g)
	if err != nil {
		wrong(want.Last, "", "the gateway %s counts %d older logs up to %s: %v", g.body.Gateway, want.Count, want.Last, err)
		return
	}
	var got tips.Merged
	for _, k := range keys {
		l := a.logs[k]
		t := tips.Tip{Log: k.log, Previous: a.previousOf(l), End: record.Offset(l.found())}
		if l.digestKnown {
			t.Digest = l.digest.String()
			if a.digests() {
				t.Digest = (l.sum + l.lost).String()
			}
		}
		if l.chain != (record.Hash{}) {
			t.Chain = l.chain.String()
		}
		got = got.Merge(t)
	}
	if got == want {
		for _, k := range keys {
			l := a.logs[k]
			l.tipped = max(l.tipped, l.found())
			if !l.digestKnown || !a.digests() {
				l.untipped += l.found()
			}
		}
	} else {
		wrong(want.Last, "", "the %d older logs of %s up to %s are not as the gateway knew them: the hash over their ends is %s, and it says %s", want.Count, g.body.Gateway, want.Last, got.Hash, want.Hash)
	}
}

// olderLogs returns the logs that the lake shows to come before the first log that
// a document knows. A gateway kept no tips before it was upgraded, and begins again
// after its book was damaged: of these logs the document says nothing. merged are
// the logs that it only counts.
func (a *audit) olderLogs(g *gatewayTips, merged []logKey) map[logKey]bool {
	previous := ""
	switch {
	case len(merged) > 0:
		previous = a.previousOf(a.logs[merged[0]])
	case g.body.Merged.Count == 0 && len(g.body.Logs) > 0:
		previous = g.body.Logs[0].Previous
	}
	older := make(map[logKey]bool)
	for previous != "" {
		k := a.keyOf(g.body.Gateway, previous)
		l, ok := a.logs[k]
		if !ok || older[k] {
			break
		}
		older[k] = true
		previous = a.previousOf(l)
	}
	return older
}

// unknownLogs finds logs of a gateway that its tips do not know, but for those that
// it opened since, and for those before the first one that the tips know.
func (a *audit) unknownLogs(g *gatewayTips, wrong func(log, where, format string, args ...any)) {
	known := make(map[string]bool)
	newest := g.body.Merged.Last
	merged, err := a.merged(g)
	if err != nil {
		merged = nil // compareMerged has said so
	}
	for _, k := range merged {
		known[k.log] = true
	}
	for _, t := range g.body.Logs {
		known[t.Log], newest = true, t.Log
	}
	older := a.olderLogs(g, merged)
	for _, k := range slices.SortedFunc(maps.Keys(a.logs), compareKeys) {
		l := a.logs[k]
		if k.gateway != g.body.Gateway || known[k.log] || l.found() == 0 {
			continue
		}
		if older[k] {
			l.beforeTips = true
			continue
		}
		at := l
		for range len(a.logs) {
			previous := a.previousOf(at)
			if known[previous] || a.logs[logKey{k.gateway, previous}] == nil {
				break
			}
			at = a.logs[logKey{k.gateway, previous}]
		}
		if newest != "" && a.previousOf(at) == newest {
			a.note("log %.8s of %s was opened after its tips were made", k.log, k.gateway)
			continue
		}
		wrong(k.log, offsets(0, l.found()), "log %s of %s is in the lake, and the gateway never opened it", k.log, k.gateway)
	}
}

func compareKeys(a, b logKey) int {
	if c := strings.Compare(a.gateway, b.gateway); c != 0 {
		return c
	}
	return strings.Compare(a.log, b.log)
}

// gatewaysWithoutTips lists the gateways whose logs are in the lake and of which no
// document is given, by name.
func (a *audit) gatewaysWithoutTips() []string {
	without := make(map[string]bool)
	for k, l := range a.logs {
		if l.found() > 0 && !slices.ContainsFunc(a.tipsOf, func(g *gatewayTips) bool { return g.body.Gateway == k.gateway }) {
			without[k.gateway] = true
		}
	}
	return slices.Sorted(maps.Keys(without))
}

// tipsCover tells whether every log in the lake belongs to a gateway whose tips
// are given, and none comes before the first log that they know.
func (a *audit) tipsCover() bool {
	if len(a.tipsOf) == 0 || !a.digests() {
		return false
	}
	for k, l := range a.logs {
		if l.beforeTips || !slices.ContainsFunc(a.tipsOf, func(g *gatewayTips) bool { return g.body.Gateway == k.gateway }) {
			return false
		}
	}
	return true
}
