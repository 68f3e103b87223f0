//go:build failpoint && linux

package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"landfall/sinks/object/s3/s3test"
	"landfall/sinks/sinktest"
)

// faultyRequests is the share of requests to the store that fail.
const faultyRequests = 0.03

// fetchScript copies a lake from a bucket with pyarrow's client, which is another
// than the engine's: argv is endpoint, key, secret, place and folder.
const fetchScript = `
import sys
from pyarrow import fs
endpoint, key, secret, place, folder = sys.argv[1:]
s3 = fs.S3FileSystem(access_key=key, secret_key=secret, endpoint_override=endpoint, scheme="http", region="us-east-1")
files = [f.path for f in s3.get_file_info(fs.FileSelector(place, recursive=True)) if f.type == fs.FileType.File and "/_checkpoint/" not in f.path]
local = fs.LocalFileSystem()
for f in files:
    to = folder + f[len(place):]
    local.create_dir(to.rsplit("/", 1)[0], recursive=True)
    fs.copy_files(f, to, source_filesystem=s3, destination_filesystem=local)
print(len(files))
`

// TestALakeInABucketSurvivesKills keeps lake, state and manifests in a real S3
// store, which answers 500 after success, cuts connections, does not answer, and
// is killed and started again, while engine and edge are killed at every step.
// The judge reads what another client fetched.
func TestALakeInABucketSurvivesKills(t *testing.T) {
	start, total := seed(t), histogram{}
	s3test.Known(t)
	for round := range rounds() {
		rng := rand.New(rand.NewPCG(start, uint64(100+round)))
		t.Run(fmt.Sprintf("round-%d", round+1), func(t *testing.T) { bucketRound(t, rng, total) })
		if t.Failed() {
			break
		}
	}
	fmt.Print(total)
}

// bucketRound is one plan of kills over an empty bucket.
func bucketRound(t *testing.T, rng *rand.Rand, total histogram) {
	dir := workdir(t)
	store, script := s3test.New(t), &s3test.Script{}
	script.Chance(rand.New(rand.NewPCG(rng.Uint64(), 1)), faultyRequests)
	c := newBucketCloud(t, dir, store, store.Proxy(t, script))
	g := newGateway(t, dir, "alpha", c.addr, rng.Uint64()>>16, 2, edgeOptions{log: edgeLogOptions}, "file", "acked", "udp")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	path, args := store.Command()
	s.supervise(program{name: "store", path: path, args: args, dir: dir}, roleStore, storePlan(rng, script.Completions()), func() bool { return s.inFlight(g) })
	s.supervise(c.program, roleEngine, bucketPlan(rng), s.anyInFlight).armedFor = armedInABucket
	s.supervise(g.program, roleEdge, makePlan(rng, roleEdge, 0, 4, 0), func() bool { return s.inFlight(g) })
	s.run()
	for _, v := range s.supervisors {
		fmt.Printf("  %-8s %s\n", v.program.name, uptimes(v))
		if v.role != roleStore {
			total.count(v)
		}
	}
	fmt.Printf("  requests to the store by what they met: %v\n", script.Met())
	if t.Failed() {
		return
	}
	store.Restart(t) // for the judge
	defer store.Kill()
	fetched := filepath.Join(dir, "fetched")
	n, err := strconv.Atoi(sinktest.Python(t, fetchScript, store.URL[len("http://"):], s3test.AccessKey, s3test.SecretKey, bucketPrefix, fetched))
	if err != nil || n == 0 {
		t.Fatalf("fetched %d files: %v", n, err)
	}
	fmt.Printf("  %d files fetched from the bucket\n", n)
	c.requireAudit(t, g, evidence{t: t, dir: dir, lake: fetched}.judge())
}

// roleStore is the store's.
const roleStore = "store"

// bucketPrefix is where the lake lies, with the bucket before it.
const bucketPrefix = s3test.Bucket + "/some/lake"

// newBucketCloud makes an engine whose lake lies in a bucket that it reaches
// through a proxy; only the landing log is on the disk.
func newBucketCloud(t *testing.T, dir string, store *s3test.Server, proxy string) *cloud {
	t.Helper()
	c := newCloud(t, dir, dir)
	c.lake, c.place, c.endpoint = filepath.Join(store.Folder(), "some", "lake"), "s3://"+bucketPrefix, store.URL
	writeText(t, c.config, engineConfig(&cloud{addr: c.addr, lake: fmt.Sprintf("%q, s3: {endpoint: %q, request_timeout: 1s}", c.place, proxy)}, dir))
	return c
}

// storePlan ends the store again and again, for about as long as a round takes,
// three times of four in the middle of a completion.
func storePlan(rng *rand.Rand, completions <-chan struct{}) []life {
	var plan []life
	kills := 24
	if os.Getenv("LANDFALL_SOAK") == "1" {
		kills *= 5
	}
	for i := range kills {
		l := life{after: between(rng, 200*time.Millisecond, 2*time.Second)}
		if i%4 > 0 {
			l.moment, l.later = completions, between(rng, 0, 4*time.Millisecond)
		}
		plan = append(plan, l)
	}
	return plan
}

// bucketPlan kills the engine once at each of its steps and at random moments;
// in a soak as often as on a disk.
func bucketPlan(rng *rand.Rand) []life {
	if os.Getenv("LANDFALL_SOAK") == "1" {
		return makePlan(rng, roleEngine, hitsWanted, 20, 0)
	}
	own, _ := points(roleEngine)
	var plan []life
	for _, name := range own {
		if !needsDamage(name) { // what lies in an upload cannot be changed
			plan = append(plan, life{point: name, count: 1 + rng.IntN(2)})
		}
	}
	for range 4 {
		plan = append(plan, life{after: between(rng, 100*time.Millisecond, 2*time.Second)})
	}
	rng.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	return plan
}
