package published

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// Config says which landing log a Registry is of.
type Config struct {
	Landing    landing.ID // identity of the landing log
	Partitions int        // of it, at least 1
	// AgainIn is how long it takes at most, when all is well, until what lands now
	// is published. 0: not known.
	AgainIn time.Duration
}

// Log is how far one log is in the lake.
type Log struct {
	Gateway string
	Next    record.Offset // everything below is published; 0: nothing
	// Hash is of the block that ends at Next; zero: after a loss, where Next is 0,
	// or not known.
	Hash   record.Hash
	Ledger ledger.Tip // newest published entry of the task's ledger; number 0: none
	Task   string     // stream.TaskID.String
	// Closed says that a newer log of the gateway, which names this one as the one
	// before it, is published: whatever landed before that is published too.
	Closed bool
	// Passes says that the program that has the task reads landing.Landed.Keeps and
	// passes over what follows a hole.
	Passes bool
}

// Hole is a log of which the landing log lacks something: its task cannot go on
// with it until the gateway has sent it again.
type Hole struct {
	Gateway string
	Log     record.LogID
	From    record.Offset // the gateway is to send again from here, or from what is published of it since
}

// Registry knows how far each log is in the lake. New makes one. Every method may
// be called from any goroutine, and none waits for anything but its own lock.
type Registry struct {
	cfg Config

	mu      sync.Mutex
	lake    string                          // guarded by mu; empty: not known
	tasks   map[stream.TaskID]*known        // guarded by mu; a task that is absent is not known
	passes  map[stream.TaskID]bool          // Log.Passes, by HEAD as it was known last; guarded by mu
	watches map[stream.TaskID]chan struct{} // each holds a token when something changed; guarded by mu
}

// key names a log: two gateways that use one LogID do not touch each other.
type key struct {
	gateway string
	log     record.LogID
}

// reached is how far a log is published.
type reached struct {
	next record.Offset
	hash record.Hash
}

// known is what is known of one task.
type known struct {
	followed bool // another engine's, as a Follower read it
	tip      ledger.Tip
	logs     map[key]reached
	logsOf   map[string]int          // of each gateway, how many of logs
	past     map[key]bool            // logs that a published one names as the one before it
	newest   map[string]record.LogID // of each gateway, the one that began last and is not past
	holes    map[key]record.Offset
	found    map[key]uint64 // when each hole was told last: later ones have higher numbers
	finds    uint64
}

// New makes a Registry that knows of no task yet.
func New(cfg Config) *Registry {
	return &Registry{cfg: cfg, tasks: make(map[stream.TaskID]*known), watches: make(map[stream.TaskID]chan struct{}),
		passes: make(map[stream.TaskID]bool)}
}

// AgainIn is Config.AgainIn.
func (r *Registry) AgainIn() time.Duration { return r.cfg.AgainIn }

// Feeds tells which lake the landing log feeds: its identity, which never changes.
func (r *Registry) Feeds(lake string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lake = lake
}

// Lake is what Feeds told; empty: nothing yet.
func (r *Registry) Lake() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lake
}

// Claimed tells that a task was claimed and that every output its checkpoint
// names is published. logs are all the logs of its state, each at its next
// offset; tip is the newest entry of its ledger, nil: there is none. It replaces
// everything that was known of the task, its holes too: a task that restores
// holes tells them after it.
func (r *Registry) Claimed(task stream.TaskID, logs []ledger.Log, tip *ledger.Tip) {
	k := newKnown(logs, tip)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks[task], r.passes[task] = k, true
	r.changed(task)
}

func newKnown(logs []ledger.Log, tip *ledger.Tip) *known {
	k := &known{logs: make(map[key]reached, len(logs)), logsOf: make(map[string]int), past: make(map[key]bool), newest: make(map[string]record.LogID), holes: make(map[key]record.Offset),
		found: make(map[key]uint64)}
	k.advance(logs, tip)
	return k
}

// Published tells that an epoch of a task is published and was read back, as are
// all before it. logs are those that it advanced. Of a task that is not known,
// and of a log that is further already, it changes nothing: the next Claimed
// tells the whole.
func (r *Registry) Published(task stream.TaskID, logs []ledger.Log, tip ledger.Tip) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.own(task); k != nil {
		k.advance(logs, &tip)
		r.changed(task)
	}
}

// Lost tells that a task is not this engine's any more: nothing is known of it.
func (r *Registry) Lost(task stream.TaskID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.own(task) != nil {
		delete(r.tasks, task)
	}
}

// Want tells that a task found a hole: the landing log does not hold the log's
// offsets from one on, and the gateway has to send again from there. The hole
// stands until it is filled, also while what is published comes nearer to its end.
// Telling it again changes nothing; telling another offset says that what came since
// has a hole of its own.
func (r *Registry) Want(task stream.TaskID, gateway string, log record.LogID, from record.Offset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.own(task); k != nil {
		k.finds++
		k.holes[key{gateway, log}], k.found[key{gateway, log}] = from, k.finds
		r.changed(task)
	}
}

// Filled tells that the landing log holds what was missing of a log.
func (r *Registry) Filled(task stream.TaskID, gateway string, log record.LogID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.own(task); k != nil {
		delete(k.holes, key{gateway, log})
		delete(k.found, key{gateway, log})
		r.changed(task)
	}
}

// Of returns how far a log is published. It is not known as long as the task of
// the gateway's partition has not told, and then Passes alone is, as it was last;
// known with Next 0: nothing of it is published.
func (r *Registry) Of(gateway string, log record.LogID) (Log, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	task := r.taskOf(gateway)
	k := r.tasks[task]
	if k == nil {
		return Log{Passes: r.passes[task]}, false
	}
	at := k.logs[key{gateway, log}]
	return Log{Gateway: gateway, Next: at.next, Hash: at.hash, Ledger: k.tip, Task: task.String(),
		Closed: k.past[key{gateway, log}], Passes: r.passes[task]}, true
}

// Count is how much is known to be in the lake.
type Count struct {
	Logs     int // of one gateway
	AllLogs  int // of its task
	Sharing  int // gateways of its task
	Gateways int // of all tasks
}

// Count returns how much is known beside a gateway, and of it. What tasks have not told is
// not in it.
func (r *Registry) Count(gateway string) Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	var n Count
	for _, k := range r.tasks {
		n.Gateways += len(k.logsOf)
	}
	if k := r.tasks[r.taskOf(gateway)]; k != nil {
		n.Logs, n.AllLogs, n.Sharing = k.logsOf[gateway], len(k.logs), len(k.logsOf)
	}
	return n
}

// Newest returns the newest log of a gateway of which anything is published, and the
// first offset of it that is not; where several have none after them, as when the
// gateway lost its data directory, one of those. False: there is none, or it is not known.
func (r *Registry) Newest(gateway string) (record.LogID, record.Offset, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.tasks[r.taskOf(gateway)]
	if k == nil {
		return record.LogID{}, 0, false
	}
	id, ok := k.newest[gateway]
	return id, k.logs[key{gateway, id}].next, ok
}

// Wanted returns the offset from which a gateway had to send a log again when its
// hole was told, because the landing log lacks what follows; false: no hole of it is
// known. What is published of it since need not be sent.
func (r *Registry) Wanted(gateway string, log record.LogID) (record.Offset, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.tasks[r.taskOf(gateway)]
	if k == nil {
		return 0, false
	}
	from, ok := k.holes[key{gateway, log}]
	return from, ok
}

// Holes returns the holes of a task, sorted by gateway and log.
func (r *Registry) Holes(task stream.TaskID) []Hole {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.tasks[task]
	if k == nil {
		return nil
	}
	var all []Hole
	for at, from := range k.holes {
		all = append(all, Hole{Gateway: at.gateway, Log: at.log, From: from})
	}
	slices.SortFunc(all, func(a, b Hole) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), slices.Compare(a.Log[:], b.Log[:]))
	})
	return all
}

// newest returns the holes of a task, sorted by gateway and log, and of more than limit
// those that were found last: of the oldest the gateways may never come back.
func (r *Registry) newest(task stream.TaskID, limit int) []Hole {
	all := r.Holes(task)
	if len(all) <= limit {
		return all
	}
	order := make(map[Hole]uint64, len(all))
	r.mu.Lock()
	if k := r.tasks[task]; k != nil {
		for _, h := range all {
			order[h] = k.found[key{h.Gateway, h.Log}]
		}
	}
	r.mu.Unlock()
	if len(order) < len(all) { // the task was lost meanwhile
		return nil
	}
	oldest := slices.Sorted(maps.Values(order))[len(order)-limit]
	return slices.DeleteFunc(all, func(h Hole) bool { return order[h] < oldest })
}

// own returns what is known of a task of this engine, nil of any other. The caller
// holds mu.
func (r *Registry) own(task stream.TaskID) *known {
	if k := r.tasks[task]; k != nil && !k.followed {
		return k
	}
	return nil
}

// isOwn tells whether a task is one of this engine's that has told.
func (r *Registry) isOwn(task stream.TaskID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.own(task) != nil
}

// changed tells whoever watches a task. The caller holds mu.
func (r *Registry) changed(task stream.TaskID) {
	select {
	case r.watches[task] <- struct{}{}:
	default: // nobody watches, or is told already
	}
}

// watch returns a channel on which it is told that something of a task changed; one
// at a time may watch a task, until stop.
func (r *Registry) watch(task stream.TaskID) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watches[task] = c
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.watches[task] == c {
			delete(r.watches, task)
		}
	}
}

// progress returns what a claim of this engine has to tell of its task; false:
// nothing now.
func (r *Registry) progress(task stream.TaskID, claim stream.ClaimID) (Progress, bool) {
	r.mu.Lock()
	k := r.own(task)
	p := Progress{Format: Format, Task: task.String(), Claim: claim}
	if k != nil && k.tip.Number > 0 {
		tip := k.tip
		p.Ledger = &tip
	}
	r.mu.Unlock()
	for _, h := range r.newest(task, maxWanted) {
		p.Wanted = append(p.Wanted, Wanted{Gateway: h.Gateway, Log: h.Log.String(), From: h.From})
	}
	return p, k != nil
}

// follow takes what a Follower read of another engine's task: all of it (k), or how
// much further it is; passes is Log.Passes. False: the task is this engine's own, or
// all of it has to be told first.
func (r *Registry) follow(task stream.TaskID, k *known, logs []ledger.Log, tip *ledger.Tip, holes []Hole,
	passes bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.tasks[task]
	switch {
	case have != nil && !have.followed, have == nil && k == nil:
		return false
	case k != nil:
		k.followed = true
		r.tasks[task], have = k, k
	}
	have.advance(logs, tip)
	r.passes[task] = passes
	clear(have.holes)
	for _, h := range holes {
		have.holes[key{h.Gateway, h.Log}] = h.From
	}
	return true
}

func (r *Registry) taskOf(gateway string) stream.TaskID {
	return stream.TaskID{Landing: string(r.cfg.Landing), Partition: landing.Partition(gateway, r.cfg.Partitions)}
}

// advance takes logs further, and the tip with them; never back.
func (k *known) advance(logs []ledger.Log, tip *ledger.Tip) {
	for i := range logs {
		l := &logs[i]
		if before, err := record.ParseLogID(l.Previous); err == nil && l.Next > 0 {
			k.past[key{l.Gateway, before}] = true
		}
	}
	for i := range logs {
		l := &logs[i]
		id, err := record.ParseLogID(l.Log)
		if err != nil {
			continue // the ledger's own checks let none through
		}
		at := key{l.Gateway, id}
		have, ok := k.logs[at]
		if ok && have.next >= l.Next {
			continue
		}
		if !ok {
			k.logsOf[l.Gateway]++
		}
		k.logs[at] = reached{next: l.Next, hash: chainOf(l)}
		if have.next == 0 && l.Next > 0 && !k.past[at] {
			k.newest[l.Gateway] = id
		}
	}
	if tip != nil && tip.Number > k.tip.Number {
		k.tip = *tip
	}
}

// chainOf returns the hash of the block that ends where an entry takes a log.
func chainOf(l *ledger.Log) record.Hash {
	h, err := record.ParseLogID(l.Chain)
	if err != nil {
		return record.Hash{}
	}
	return record.Hash(h)
}
