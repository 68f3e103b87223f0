package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/tips"
	"landfall/engine/table"
)

// madeTips is when documents of tests are made.
const madeTips = record.Micros(1_800_000_000_000_000)

// tipsOf says what a gateway of batches knows of its logs, in opening order.
func tipsOf(gateway string, batches []*table.Batch) tips.Body {
	body := tips.Body{Gateway: gateway, MadeAt: madeTips}
	at := make(map[string]int)
	for _, claims := range claimsOf(batches) {
		for _, l := range claims {
			if l.Gateway != gateway {
				continue
			}
			i, ok := at[l.Log]
			if !ok {
				i = len(body.Logs)
				at[l.Log] = i
				body.Logs = append(body.Logs, tips.Tip{Log: l.Log})
				if i > 0 {
					body.Logs[i-1].Closed, body.Logs[i].Previous = true, body.Logs[i-1].Log
				}
			}
			body.Logs[i].End, body.Logs[i].Digest, body.Logs[i].Acked = l.Next, l.Digest, l.Next
		}
	}
	return body
}

// authority signs certificates of tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func certificate(t *testing.T, name string, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	at := time.UnixMicro(int64(madeTips))
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: by == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	check(t, err)
	c, err = x509.ParseCertificate(der)
	check(t, err)
	return c, key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	a.cert, a.key = certificate(t, "ca", nil)
	a.pool.AddCert(a.cert)
	return a
}

// revoke lists certificates as revoked.
func (a *authority) revoke(t *testing.T, serials ...int64) []*x509.RevocationList {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	check(t, err)
	list, err = x509.ParseRevocationList(der)
	check(t, err)
	return []*x509.RevocationList{list}
}

// TestRevokedTips do not count, whenever they say that they were made; without a
// list that is said not to be checked.
func TestRevokedTips(t *testing.T) {
	by := newAuthority(t)
	dir, _ := writeLake(t, fleet()...)
	doc := document(t, tipsOf("gw", fleet()), "gw", by)
	for name, c := range map[string]struct {
		lists []*x509.RevocationList
		exact bool
		note  bool
	}{
		"no list":        {nil, true, true},
		"an empty list":  {by.revoke(t), true, false},
		"another serial": {by.revoke(t, 77), true, false},
		"revoked":        {by.revoke(t, 5, 1), false, false},
	} {
		r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{doc}, TipsCA: by.pool, TipsCRL: c.lists})
		if note := strings.Contains(strings.Join(r.Notes, "\n"), "was revoked was not checked"); r.Exact != c.exact || note != c.note || !c.exact && !slices.ContainsFunc(r.Findings, Finding{Kind: KindTips, Gateway: "gw", File: "gw.tips"}.within) {
			t.Errorf("%s: exact %v, notes %q, %s", name, r.Exact, r.Notes, listFindings(r))
		}
	}
}

// document writes what a gateway says, unsigned without an authority.
func document(t *testing.T, body tips.Body, signer string, by *authority) TipsFile {
	t.Helper()
	if by == nil {
		doc, err := tips.Encode(body, nil, nil)
		check(t, err)
		return TipsFile{Name: body.Gateway + ".tips", Data: doc}
	}
	cert, key := certificate(t, signer, by)
	doc, err := tips.Encode(body, key, [][]byte{cert.Raw})
	check(t, err)
	return TipsFile{Name: body.Gateway + ".tips", Data: doc}
}

// TestTipsVouch: with the tips of every gateway a lake is exact even without a
// checkpoint, and it says who signed them.
func TestTipsVouch(t *testing.T) {
	by := newAuthority(t)
	dir, _ := writeLake(t, fleet()...)
	both := []TipsFile{document(t, tipsOf("gw", fleet()), "gw", by), document(t, tipsOf("pier", fleet()), "pier", by)}
	r := runAudit(t, Config{Lake: dir, Tips: both, TipsCA: by.pool, TipsCRL: by.revoke(t)})
	if !r.Exact || len(r.Notes) > 0 || r.Logs[0].Tipped != 100 || r.Logs[3].Tipped != 40 {
		t.Fatalf("exact %v, %s%q %+v", r.Exact, listFindings(r), r.Notes, r.Logs)
	}
	if r := runAudit(t, Config{Lake: dir, Tips: both}); !r.Exact || !strings.Contains(strings.Join(r.Notes, "\n"), "who issued the certificate was not checked") {
		t.Errorf("without a CA: exact %v, %q", r.Exact, r.Notes)
	}
	if r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{document(t, tipsOf("gw", fleet()), "", nil)}}); !r.Exact || !strings.Contains(strings.Join(r.Notes, "\n"), "not signed") {
		t.Errorf("not signed: exact %v, %q", r.Exact, r.Notes)
	}
	check(t, os.RemoveAll(checkpointsOf(dir)))
	if r := runAudit(t, Config{Lake: dir, Tips: both, TipsCA: by.pool}); !r.Exact || r.Level != LevelOffsets || !strings.Contains(strings.Join(r.NotChecked, "\n"), "there is no ledger") {
		t.Errorf("tips and no checkpoint: exact %v at %s, %s%q", r.Exact, r.Level, listFindings(r), r.NotChecked)
	}
	for _, level := range []Level{LevelFiles, LevelBytes} {
		wantFinding(t, runAudit(t, Config{Lake: dir, Tips: both, TipsCA: by.pool, Level: level}), Finding{Kind: KindLevel})
	}
	if r := runAudit(t, Config{Lake: dir, Tips: both[:1], TipsCA: by.pool}); !found(r, KindNoAnchor) {
		t.Errorf("tips of one of two gateways and no checkpoint: %s", listFindings(r))
	}
}

// TestTipsAloneProveNothingOfAnEmptyLake: tips that nothing was acknowledged of, as
// those of a gateway that lost what it knew of that, do not make up for files.
func TestTipsAloneProveNothingOfAnEmptyLake(t *testing.T) {
	body := tipsOf("gw", twoLogs())
	for i := range body.Logs {
		body.Logs[i].Acked = 0
	}
	both := []TipsFile{document(t, body, "", nil)}
	r := runAudit(t, Config{Lake: t.TempDir(), Tips: both})
	wantFinding(t, r, Finding{Kind: KindEmpty})
	wantFinding(t, r, Finding{Kind: KindTips, Log: logID(1).String(), Offsets: "0-99"})

	dir, _ := writeFiles(t, twoLogs()[:1]...)
	wantFinding(t, runAudit(t, Config{Lake: dir, Tips: both}), Finding{Kind: KindTips, Log: logID(1).String(), Offsets: "40-99"})
}

// TestTipsAndALakeThatIsAhead: what came after the tips were made is no finding,
// and below their ends everything is compared.
func TestTipsAndALakeThatIsAhead(t *testing.T) {
	dir, _ := writeLake(t, fleet()...)
	r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{document(t, tipsOf("gw", fleet()[:1]), "", nil), document(t, tipsOf("pier", fleet()[:2]), "", nil)}})
	if !r.Exact || r.Logs[0].Tipped != 40 || !strings.Contains(strings.Join(r.Notes, "\n"), "was opened after its tips were made") {
		t.Errorf("exact %v, %s%q", r.Exact, listFindings(r), r.Notes)
	}
}

// TestTipsTellWhatTheLakeCannot: what a lake with its ledger and its checkpoints,
// all consistent, does not show.
func TestTipsTellWhatTheLakeCannot(t *testing.T) {
	first, last := logID(1).String(), logID(2).String()
	for _, c := range []struct {
		name  string
		lake  func(e []*table.Batch) []*table.Batch
		tips  func(b *tips.Body)
		want  Finding
		exact bool
	}{
		{name: "nothing", exact: true},
		{name: "the whole lake of an hour ago", lake: func(e []*table.Batch) []*table.Batch { return e[:2] }, want: Finding{Kind: KindTips, Gateway: "gw", Log: last, Offsets: "20-59"}},
		{name: "a gateway without a trace", lake: func(e []*table.Batch) []*table.Batch {
			return []*table.Batch{epochOf("pier", logID(3), record.LogID{}, 0, 0, 30)}
		}, want: Finding{Kind: KindTips, Gateway: "gw", Log: first, Offsets: "0-99"}},
		{name: "bytes changed everywhere", lake: func(e []*table.Batch) []*table.Batch {
			e[1].Records[7].Raw = []byte("never captured")
			return e
		}, want: Finding{Kind: KindTips, Gateway: "gw", Log: first, Offsets: "0-99"}},
		{name: "a log that was made up", lake: func(e []*table.Batch) []*table.Batch {
			return append(e, epochOf("gw", logID(9), record.LogID{}, 0, 0, 5))
		}, want: Finding{Kind: KindTips, Gateway: "gw", Log: logID(9).String()}},
		{name: "a fork of an older log", lake: func(e []*table.Batch) []*table.Batch {
			return append(e, epochOf("gw", logID(9), logID(1), 100, 0, 5))
		}, want: Finding{Kind: KindTips, Log: logID(9).String()}},
		{name: "a newer log", lake: func(e []*table.Batch) []*table.Batch {
			return append(e, epochOf("gw", logID(9), logID(2), 60, 0, 5))
		}, exact: true},
		{name: "a closed log that goes on", tips: func(b *tips.Body) { b.Logs[0].End, b.Logs[0].Digest, b.Logs[0].Acked = 90, "", 90 }, want: Finding{Kind: KindTips, Log: first, Offsets: "90-99"}},
		{name: "a closed log goes on, and nothing follows it", tips: func(b *tips.Body) {
			b.Logs[1].End, b.Logs[1].Digest, b.Logs[1].Acked, b.Logs[1].Closed = 50, "", 50, true
		}, want: Finding{Kind: KindTips, Log: last, Offsets: "50-59", Detail: "and the lake has it up to"}},
		{name: "a closed log one offset longer", tips: func(b *tips.Body) { b.Logs[0].End++ }, want: Finding{Kind: KindTips, Log: first, Offsets: "100"}},
		{name: "a log closed in the lake that is longer", tips: func(b *tips.Body) { b.Logs[0].End, b.Logs[0].Closed = 103, false }, want: Finding{Kind: KindTips, Log: first, Offsets: "100-102"}},
		{name: "a log as it was before it was closed", tips: func(b *tips.Body) {
			b.Logs[0].End, b.Logs[0].Closed, b.Logs[0].Digest, b.Logs[0].Acked, b.Logs = 90, false, "", 90, b.Logs[:1]
		}, exact: true},
		{name: "another previous log", tips: func(b *tips.Body) { b.Logs[1].Previous = logID(7).String() }, want: Finding{Kind: KindTips, Log: last}},
		{name: "more on the gateway, not acknowledged", tips: func(b *tips.Body) { b.Logs[1].End = 80 }, exact: true},
		{name: "more on the gateway of a log that a later one comes after", lake: func(e []*table.Batch) []*table.Batch {
			return append(e[:1], epochOf("gw", logID(1), record.LogID{}, 0, 40, 100), epochOf("gw", logID(2), record.LogID{}, 0, 0, 60))
		}, tips: func(b *tips.Body) { b.Logs[0].End, b.Logs[1].Previous = 130, "" }, want: Finding{Kind: KindTips, Log: first, Offsets: "100-129", Detail: "held back there"}},
		{name: "acknowledged and not there", tips: func(b *tips.Body) { b.Logs[1].End, b.Logs[1].Acked = 80, 70 }, want: Finding{Kind: KindTips, Log: last, Offsets: "60-69"}},
		{name: "another digest", tips: func(b *tips.Body) { b.Logs[1].Digest = "1" }, want: Finding{Kind: KindTips, Log: last, Offsets: "0-59"}},
		{name: "a digest that is not known", tips: func(b *tips.Body) { b.Logs[1].Digest = "" }, exact: true},
		{name: "the oldest merged", tips: func(b *tips.Body) { b.Merged, b.Logs = b.Merged.Merge(b.Logs[0]), b.Logs[1:] }, exact: true},
		{name: "all merged", tips: func(b *tips.Body) { b.Merged, b.Logs = b.Merged.Merge(b.Logs[0]).Merge(b.Logs[1]), nil }, exact: true},
		{name: "a merged log that is other", tips: func(b *tips.Body) {
			b.Logs[0].Digest = "1"
			b.Merged, b.Logs = b.Merged.Merge(b.Logs[0]), b.Logs[1:]
		}, want: Finding{Kind: KindTips, Log: first}},
		{name: "a merged log that is not there", tips: func(b *tips.Body) {
			b.Merged = tips.Merged{}.Merge(tips.Tip{Log: logID(7).String(), End: 3}).Merge(b.Logs[0])
			b.Logs = b.Logs[1:]
		}, want: Finding{Kind: KindTips, Log: first}},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, e := tipsOf("gw", twoLogs()), twoLogs()
			if c.tips != nil {
				c.tips(&body)
			}
			if c.lake != nil {
				e = c.lake(e)
			}
			dir, _ := writeLake(t, e...)
			if r := runAudit(t, Config{Lake: dir}); !r.Exact && c.name != "a fork of an older log" {
				t.Errorf("without tips: %s", listFindings(r))
			}
			r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{document(t, body, "", nil)}})
			if r.Exact != c.exact || !c.exact && !slices.ContainsFunc(r.Findings, c.want.within) {
				t.Errorf("exact %v, want %+v among\n%s", r.Exact, c.want, listFindings(r))
			}
		})
	}
}

// TestTipsOfAnUpgradedGateway: of logs before the first one that the tips know they
// say nothing, which the audit says. Any other log that they do not know is a
// finding.
func TestTipsOfAnUpgradedGateway(t *testing.T) {
	chain := func() []*table.Batch {
		return []*table.Batch{
			epochOf("gw", logID(1), record.LogID{}, 0, 0, 100), epochOf("gw", logID(2), logID(1), 100, 0, 60),
			epochOf("gw", logID(3), logID(2), 60, 0, 30), epochOf("gw", logID(4), logID(3), 30, 0, 20),
		}
	}
	for _, c := range []struct {
		name  string
		tips  func(b *tips.Body)
		more  []*table.Batch
		older string
		want  Finding // none: exact
	}{
		{name: "it knows all", tips: func(*tips.Body) {}},
		{name: "one", tips: func(b *tips.Body) { b.Logs = b.Logs[1:] }, older: "1 logs against the tips"},
		{name: "three", tips: func(b *tips.Body) { b.Logs = b.Logs[3:] }, older: "3 logs against the tips"},
		{name: "the first that it knows are merged", tips: func(b *tips.Body) {
			b.Merged, b.Logs = b.Merged.Merge(b.Logs[1]).Merge(b.Logs[2]), b.Logs[3:]
		}, older: "1 logs against the tips"},
		{name: "a log that was made up", tips: func(b *tips.Body) { b.Logs = b.Logs[2:] },
			more: []*table.Batch{epochOf("gw", logID(9), record.LogID{}, 0, 0, 5)}, want: Finding{Kind: KindTips, Log: logID(9).String()}},
		{name: "a fork of an older log", tips: func(b *tips.Body) { b.Logs = b.Logs[2:] },
			more: []*table.Batch{epochOf("gw", logID(9), logID(1), 100, 0, 5)}, want: Finding{Kind: KindTips, Log: logID(9).String()}},
		{name: "it names another log before the first", tips: func(b *tips.Body) { b.Logs = b.Logs[2:]; b.Logs[0].Previous = logID(7).String() },
			want: Finding{Kind: KindTips, Log: logID(2).String()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := tipsOf("gw", chain())
			c.tips(&body)
			dir, _ := writeLake(t, append(chain(), c.more...)...)
			doc := []TipsFile{document(t, body, "", nil)}
			r := runAudit(t, Config{Lake: dir, Tips: doc})
			if exact := c.want.Kind == ""; r.Exact != exact || !exact && !slices.ContainsFunc(r.Findings, c.want.within) {
				t.Errorf("exact %v, want %+v among\n%s", r.Exact, c.want, listFindings(r))
			}
			if said := strings.Join(r.NotChecked, "\n"); !strings.Contains(said, c.older) || c.older == "" && strings.Contains(said, "against the tips") && c.want.Kind == "" {
				t.Errorf("not checked: %q", said)
			}
			check(t, os.RemoveAll(checkpointsOf(dir)))
			if r := runAudit(t, Config{Lake: dir, Tips: doc}); c.want.Kind == "" && found(r, KindNoAnchor) != (c.older != "") {
				t.Errorf("without a checkpoint: %s", listFindings(r))
			}
		})
	}
}

// TestTipsThatDoNotCount: what cannot be believed is a finding.
func TestTipsThatDoNotCount(t *testing.T) {
	by, other := newAuthority(t), newAuthority(t)
	body := tipsOf("gw", fleet())
	good := document(t, body, "gw", by)
	dir, _ := writeLake(t, fleet()...)
	for name, f := range map[string]TipsFile{
		"damaged":            {Name: "x", Data: []byte(strings.Replace(string(good.Data), `"end":100`, `"end":101`, 1))},
		"no document":        {Name: "x", Data: []byte("hello\n")},
		"of another gateway": document(t, body, "pier", by),
		"of another CA":      document(t, body, "gw", other),
		"not signed":         document(t, body, "", nil),
	} {
		t.Run(name, func(t *testing.T) {
			if r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{f}, TipsCA: by.pool}); r.Exact || len(r.Findings) != 1 || r.Findings[0].Kind != KindTips || r.Findings[0].File != f.Name {
				t.Errorf("exact %v, %s", r.Exact, listFindings(r))
			}
		})
	}
}

// TestChainOfTheLedgerAndOfTips: where both know the hash of a block they agree.
func TestChainOfTheLedgerAndOfTips(t *testing.T) {
	for chain, exact := range map[string]bool{strings.Repeat("c", 32): true, strings.Repeat("d", 32): false} {
		dir, files := writeFiles(t, fleet()...)
		claims := claimsOf(fleet())
		claims[0][0].Chain = strings.Repeat("c", 32)
		entries := ledgerOf(t, files, claims)
		for i := range entries {
			entries[i].Schema = logSchema - 1
		}
		store := openStore(t, filepath.Join(dir, "_checkpoint"))
		writeHeadAt(t, store, entries)
		body := tipsOf("gw", fleet()[:1])
		body.Logs[0].Chain = chain
		if r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{document(t, body, "", nil)}}); r.Exact != exact {
			t.Errorf("chain %s: exact %v, %s", chain, r.Exact, listFindings(r))
		}
	}
}

// TestTipsOfALogThatWasClosed prove its end, also where no log follows it.
func TestTipsOfALogThatWasClosed(t *testing.T) {
	dir, _ := writeLake(t, twoLogs()...)
	for _, closed := range []bool{false, true} {
		body := tipsOf("gw", twoLogs())
		body.Logs[1].Closed = closed
		r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{document(t, body, "", nil)}})
		if want := map[bool]string{false: TailUnproven, true: TailProven}[closed]; !r.Exact || r.Logs[1].Tail != want {
			t.Errorf("closed %v: %s%+v", closed, listFindings(r), r.Logs[1])
		}
	}
}

// TestWhatTipsNameAndTheLakeLacks stands where an open tail does.
func TestWhatTipsNameAndTheLakeLacks(t *testing.T) {
	dir, _ := writeLake(t, twoLogs()...)
	body := tipsOf("gw", twoLogs())
	body.Logs[1].End = 75
	body.Logs = append(body.Logs, tips.Tip{Log: logID(8).String(), Previous: logID(2).String(), End: 5})
	r := runAudit(t, Config{Lake: dir, Tips: []TipsFile{document(t, body, "", nil)}})
	said := strings.Join(r.NotChecked, "\n")
	for _, want := range []string{"offsets 60-74 of log " + logID(2).String(), "offsets 0-4 of log " + logID(8).String()} {
		if !r.Exact || !strings.Contains(said, want) {
			t.Errorf("%q is not in %q, %s", want, said, listFindings(r))
		}
	}
}

// TestTipsWithoutADigest vouch for offsets alone, and the text says so.
func TestTipsWithoutADigest(t *testing.T) {
	dir, _ := writeLake(t, twoLogs()...)
	for _, merged := range []bool{false, true} {
		body := tipsOf("gw", twoLogs())
		for i := range body.Logs {
			body.Logs[i].Digest = ""
		}
		level := LevelFiles
		if merged { // the hash over merged logs has digests in it, which level offsets takes from the ledger
			body = tipsOf("gw", twoLogs())
			body.Merged, body.Logs = body.Merged.Merge(body.Logs[0]), body.Logs[1:]
			level = LevelOffsets
		}
		r := runAudit(t, Config{Lake: dir, Level: level, Tips: []TipsFile{document(t, body, "", nil)}})
		var text strings.Builder
		check(t, r.WriteText(&text))
		if !r.Exact || r.Logs[0].Untipped != 100 || r.Logs[1].Untipped != 60 || strings.Contains(text.String(), "vouch") || !strings.Contains(text.String(), "only that their offsets are there") {
			t.Errorf("merged %v: %s%+v", merged, &text, r.Logs)
		}
	}
}
