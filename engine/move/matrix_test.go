package move

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"landfall/engine/audit"
	"landfall/sinks/sinktest"
)

// trial is one combination of what happens to a landing log.
type trial struct {
	harm    harm
	moment  int    // what was landed first is: 0 not read (before C4), 1 not published (before C5), 2 published
	gateway string // what it does meanwhile
	engines string // who has HEAD
	seed    uint64
	brokers []string // of a real Kafka; nil: the harms of a topic have one in this process
	ended   func()   // nil disables it
}

var (
	moments  = []string{"before C4", "before C5", "after C5"}
	gateways = []string{"goes on", "is restarted", "is silent", "is offline"}
	engines  = []string{"one engine", "a partner takes HEAD", "a partner has HEAD for a time"}
)

func (c *trial) String() string {
	return fmt.Sprintf("%s, %s, the gateway %s, %s, seed %d", c.harm.name, moments[c.moment], c.gateway, c.engines, c.seed)
}

// trialsAtOnce is how many run beside each other: most of their time they wait.
const trialsAtOnce = 12

// TestDamagedLandingIsFilledAgain: a landing log is damaged, lost, set back or made
// again before its records are read (C4), before they are published (C5) or after
// that, in a place that a seed chooses, while the engine runs or is down, and a
// partner with a copy of its own takes HEAD or does not. In the end everything that
// was captured is in the lake once, by DuckDB and by the audit, and nothing is in
// conflict or loss.
// There are 336 trials, and 3,024 with LANDFALL_SOAK=1; each three seeds have every
// harm, moment and gateway with one engine, with a partner that takes HEAD, and with one
// that has it for a time. TestATopicThatLostItsEndIsFilledAgain has one harm more.
func TestDamagedLandingIsFilledAgain(t *testing.T) {
	seeds, atLeast := uint64(2), 300
	if os.Getenv("LANDFALL_SOAK") == "1" {
		seeds, atLeast = 18, 3000
	}
	total := 0
	for seed := range seeds {
		var trials []*trial
		for i, h := range harms() {
			for at := range moments {
				for k, gateway := range gateways {
					engine := engines[(i+at+k+int(seed))%len(engines)]
					trials = append(trials, &trial{harm: h, moment: at, gateway: gateway, engines: engine, seed: seed})
				}
			}
		}
		total += len(trials)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { tryAll(t, trials) })
	}
	if t.Logf("%d trials", total); total < atLeast {
		t.Errorf("fewer than %d", atLeast)
	}
}

// tryAll runs trials and lets DuckDB read their lakes.
func tryAll(t *testing.T, trials []*trial) {
	j := &referee{t: t, dir: t.TempDir()}
	next := make(chan int)
	var workers sync.WaitGroup
	for range trialsAtOnce {
		workers.Go(func() {
			for n := range next {
				t.Run(trials[n].String(), func(t *testing.T) { trials[n].run(t, n, j) })
			}
		})
	}
	for n := range trials {
		next <- n
	}
	close(next)
	workers.Wait()
	j.compare(trials)
}

// run tries one combination.
func (c *trial) run(t *testing.T, n int, j *referee) {
	rng := rand.New(rand.NewPCG(c.seed, uint64(n)))
	dir := filepath.Join(j.dir, fmt.Sprintf("c%04d", n))
	brokers := c.brokers
	if c.harm.kafka && brokers == nil {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		brokers = cluster.ListenAddrs()
	}
	if c.ended != nil {
		defer c.ended()
	}
	p := newPlant(t, dir, rng, brokers)
	if c.brokers != nil {
		p.is.Place = fmt.Sprintf("landing-%d-%d", c.seed, n)
	}
	older, beside := filepath.Join(dir, "older"), filepath.Join(dir, "partner")
	e := p.open(p.is.Place)
	e.answer()
	e.start()
	e.untilClaimed()
	e.stop()
	p.capture(30)
	e.untilLanded()
	if !c.harm.kafka {
		p.copyDir(older, e.dir)
	}
	if c.moment > 0 {
		c.commit(p, e)
	}
	e = c.damage(p, e, older, beside)
	last := c.partner(p, e, beside)
	last.untilPublished()
	p.until("the gateway is content", func() bool { return len(p.link.Status().Reds) == 0 }, last.about)
	for _, e := range []*plantEngine{e, last} {
		e.close()
		if n := e.counters.Alternations.Load(); n != 0 {
			t.Errorf("%d times two machines under one name", n)
		}
	}
	p.closeEdge()
	j.note(t, p, n)
}

// commit brings what was landed into an epoch, and into the lake or not.
func (c *trial) commit(p *plant, e *plantEngine) {
	p.held.Store(c.moment == 1)
	e.start()
	p.until("an epoch is committed", func() bool { return e.counters.Epochs.Load() > 0 }, e.about)
	if c.moment == 2 {
		e.untilPublished()
	}
	e.stop()
	p.held.Store(false)
}

// damage lets more land, harms the landing log, and returns an engine that works on
// it. A partner's copy is made of what there was at one time or another.
func (c *trial) damage(p *plant, e *plantEngine, older, beside string) *plantEngine {
	if c.gateway == "is offline" && p.rng.IntN(2) == 0 {
		p.closeLink()
		p.capture(20)
	} else {
		p.capture(20)
		e.untilLanded()
	}
	if c.gateway == "is offline" {
		p.closeLink()
		p.capture(5)
	}
	if !c.harm.kafka {
		switch p.rng.IntN(3) {
		case 0:
			p.copyDir(beside, older)
		case 1:
			p.copyDir(beside, e.dir)
		}
	}
	running := !c.harm.down && p.rng.IntN(2) == 0
	if running {
		e.start()
	}
	was := p.is
	if c.harm.down {
		e.close()
	}
	c.harm.do(p, e.dir, older)
	if p.is != was { // a copy of what was left is of no use
		p.remove(beside)
	}
	if c.harm.down {
		e = p.open(p.is.Place)
	}
	if c.gateway == "is restarted" {
		p.closeEdge()
		p.openEdge()
	}
	e.answer()
	if !running {
		e.start()
	}
	switch c.gateway {
	case "goes on", "is restarted":
		p.capture(10)
	case "is offline":
		e.untilClaimed()
		p.openLink()
	}
	return e
}

// partner lets another engine take HEAD, with a landing log of its own in the same
// name where that is a directory, and returns the engine that has HEAD in the end.
func (c *trial) partner(p *plant, e *plantEngine, beside string) *plantEngine {
	if c.engines == engines[0] {
		return e
	}
	e.untilClaimed()
	other := p.open(beside)
	other.answer()
	other.start()
	other.untilClaimed()
	if c.gateway == "goes on" || c.gateway == "is offline" {
		p.capture(5)
	}
	if c.engines == engines[1] {
		return other
	}
	<-e.ended // it is fenced
	other.close()
	e.answer()
	e.start()
	return e
}

// referee compares lakes with what gateways captured.
type referee struct {
	t   *testing.T
	dir string // each trial has a directory of its number in it

	mu   sync.Mutex
	want [][]string // trial, log, offset, raw bytes; guarded by mu
}

// note takes down what a trial's lake has to hold, and removes the rest of it.
func (j *referee) note(t *testing.T, p *plant, n int) {
	for _, table := range []string{"conflict", "loss"} {
		if names, err := filepath.Glob(filepath.Join(p.dir, "lake", table, "*", "*.parquet")); err != nil || len(names) > 0 {
			t.Errorf("files of %s: %q, %v", table, names, err)
		}
	}
	result, err := audit.Run(t.Context(), audit.Config{Lake: filepath.Join(p.dir, "lake"), Checkpoints: p.store, Level: audit.LevelBytes})
	switch {
	case err != nil:
		t.Error(err)
	case !result.Exact || len(result.Logs) != len(p.ends):
		t.Errorf("the audit: exact %t, %d logs, %q", result.Exact, len(result.Logs), result.Problems)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range p.sent {
		j.want = append(j.want, []string{fmt.Sprintf("c%04d", n), s[0], s[1], s[2]})
	}
	for _, rest := range []string{"edge", "log-a", "log-b", "older", "partner"} {
		p.remove(filepath.Join(p.dir, rest))
	}
}

// compare is DuckDB's: what it finds in record is what was captured, with the same
// multiplicity, and no trial is without it.
func (j *referee) compare(trials []*trial) {
	t := j.t
	if t.Failed() || len(j.want) == 0 {
		return
	}
	sent := filepath.Join(j.dir, "sent.csv")
	f, err := os.Create(sent)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(f)
	if err := w.WriteAll(j.want); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	rows := sinktest.DuckDB(t, strings.NewReplacer("DIR", j.dir, "SENT", sent, "OPENING", opening).Replace(`
WITH sent AS MATERIALIZED (SELECT trial, log, off, raw, count(*) AS n
  FROM read_csv('SENT', header = false, auto_detect = false, columns = {
    'trial': 'VARCHAR', 'log': 'VARCHAR', 'off': 'UBIGINT', 'raw': 'VARCHAR'}) GROUP BY ALL),
got AS MATERIALIZED (SELECT regexp_extract(filename, '/(c[0-9]+)/lake/', 1) AS trial, _log AS log,
    _offset::UBIGINT AS off, CASE kind WHEN 'OPENING' THEN 'OPENING' ELSE hex(raw) END AS raw, count(*) AS n
  FROM read_parquet('DIR/*/lake/record/*/*.parquet', filename = true, hive_partitioning = false) GROUP BY ALL)
SELECT trial, 'records, captured and in the lake', coalesce(sent.n, 0), coalesce(got.n, 0), count(*)
FROM sent FULL JOIN got USING (trial, log, off, raw) GROUP BY ALL HAVING coalesce(sent.n, 0) <> 1 OR coalesce(got.n, 0) <> 1
UNION ALL SELECT 'all', 'records', sum(sent.n), sum(got.n), count(*) FROM sent JOIN got USING (trial, log, off, raw)`))
	for _, row := range rows {
		switch n := 0; {
		case row[0] == "all":
			t.Logf("%d records of %d trials compared by DuckDB: %s", len(j.want), len(trials), strings.Join(row, " "))
			if want := fmt.Sprint(len(j.want)); row[2] != want || row[3] != want || row[4] != want {
				t.Errorf("%s were captured", want)
			}
		default:
			_, _ = fmt.Sscanf(row[0], "c%d", &n)
			t.Errorf("%s: %s", trials[n], strings.Join(row[1:], " "))
		}
	}
}
