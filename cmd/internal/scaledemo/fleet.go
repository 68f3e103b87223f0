package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"landfall/cmd/internal/child"
	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/traffic"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/server"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// Sizes.
const (
	engines    = 3
	ingests    = 2
	partitions = 6
	session    = 6 * time.Second // after which a silent engine loses its partitions
)

// fleet is one run.
type fleet struct {
	dir      string
	duration time.Duration
	rate     float64
	out      io.Writer
	started  time.Time

	kafka     *kafkatest.Cluster
	store     *s3test.Server
	keys      string           // the file with the store's
	manifests checkpoint.Store // read from the store, to see what is committed

	engines, ingests, gateways []*child.Child
	outputs                    []traffic.Output // by gateway
	logs                       []io.Closer
}

// gatewayNames are the receivers too.
func gatewayNames() []string { return []string{"north", "south", "east", "west", "pier", "pilot"} }

// lake is where the engines bring rows.
const lake = "s3://" + s3test.Bucket + "/lake"

const landingConfig = `landing:
  reserve: 64MiB
  kafka: {brokers: [%s], topic: landing, partitions: %d, session_timeout: %s}
`

const ingestConfig = `# An ingest of the scale demo: takes what gateways send, makes no tables.
roles: [ingest]
listen: %s
status: %s
identity: {unauthenticated: true} # nothing here listens beyond loopback
lake: # it reads what the engines have published, and tells the gateways
  dir: %s
  s3: {endpoint: %q, credentials_file: %q}
epoch: {interval: 2s}
`

const engineConfig = `# An engine of the scale demo: takes its share of the partitions.
roles: [tasks]
status: %s
lake:
  dir: %s
  s3: {endpoint: %q, credentials_file: %q}
epoch: {interval: 2s}
sinks:
  kafka: {brokers: [%s], partitions: %d, replication: 3}
`

const edgeConfig = `# Gateway %[1]s of the scale demo.
gateway: %[1]s
data_dir: %[2]q
status: %[3]s
log: {reserve: 64MiB, quota: 1GiB}
forward: {url: "http://%[4]s"}
drain_timeout: 30s
sources:
  - {name: radio, tcp_server: {listen: %[5]q}}
`

// startStores starts the brokers and the bucket, which hold all there is.
func (f *fleet) startStores(ctx context.Context) (err error) {
	f.say("starting three Kafka brokers and an S3 store; the first time they are fetched")
	f.kafka, err = kafkatest.Start(ctx, kafkatest.Config{Dir: filepath.Join(f.dir, "kafka"), Brokers: 3})
	if errors.Is(err, kafkatest.ErrMissing) {
		return cli.Fail(cli.ExitUnavailable, fmt.Errorf("the demo needs Java 17 and Maven for Apache Kafka: %w", err))
	}
	if err != nil {
		return err
	}
	f.say("Kafka runs on %s", strings.Join(f.kafka.Addrs(), ", "))
	if f.store, err = s3test.Make(ctx, filepath.Join(f.dir, "store")); err != nil {
		return err
	}
	if err = f.store.Run(ctx); err != nil {
		return err
	}
	f.say("the S3 store (versitygw) runs on %s, with the bucket %s", f.store.URL, s3test.Bucket)
	f.manifests, err = s3.OpenStore(ctx, s3test.Config(f.store.URL), s3test.At("lake/_checkpoint"))
	if err != nil {
		return err
	}
	f.keys, err = s3test.CredentialsIn(f.dir)
	return err
}

// prepare writes a configuration for each daemon.
func (f *fleet) prepare(context.Context) error {
	brokers := strings.Join(f.kafka.Addrs(), ", ")
	landing := fmt.Sprintf(landingConfig, brokers, partitions, session)
	var ports []string
	for range 2*ingests + engines + 2*len(gatewayNames()) {
		p, err := child.FreePort("tcp")
		if err != nil {
			return fmt.Errorf("choose a port: %w", err)
		}
		ports = append(ports, p)
	}
	take := func() string {
		p := ports[0]
		ports = ports[1:]
		return p
	}
	var listens []string
	for i := range ingests {
		listen, status := take(), take()
		listens = append(listens, listen)
		config := fmt.Sprintf(ingestConfig, listen, status, lake, f.store.URL, f.keys) + landing
		c, err := f.daemon(fmt.Sprintf("ingest-%d", i+1), engineVerb, status, config)
		if err != nil {
			return err
		}
		f.ingests = append(f.ingests, c)
	}
	for i := range engines {
		status := take()
		c, err := f.daemon(fmt.Sprintf("engine-%d", i+1), engineVerb, status, fmt.Sprintf(engineConfig, status, lake, f.store.URL, f.keys, brokers, partitions)+landing)
		if err != nil {
			return err
		}
		f.engines = append(f.engines, c)
	}
	for i, name := range gatewayNames() {
		status, listen := take(), take()
		c, err := f.daemon(name, edgeVerb, status, fmt.Sprintf(edgeConfig, name, f.path(name), status, listens[i%ingests], listen))
		if err != nil {
			return err
		}
		f.gateways, f.outputs = append(f.gateways, c), append(f.outputs, traffic.DialTCP(listen))
	}
	return nil
}

// daemon writes a configuration and gives the child that runs by it.
func (f *fleet) daemon(name, verb, status, config string) (*child.Child, error) {
	if err := durable.WriteFileAtomic(durable.OS{}, f.path(name+".yaml"), []byte(config)); err != nil {
		return nil, err
	}
	log, err := durable.OS{}.Create(f.path(name + ".log"))
	if err != nil {
		return nil, err
	}
	f.logs = append(f.logs, log)
	return &child.Child{Name: name, Args: []string{verb, "run", "--config", f.path(name + ".yaml")}, Log: log, Address: status}, nil
}

func (f *fleet) daemons() []*child.Child { return slices.Concat(f.gateways, f.ingests, f.engines) }

// waitLimit bounds each wait for a daemon.
const waitLimit = time.Minute

// startDaemons starts the way out first.
func (f *fleet) startDaemons(ctx context.Context) error {
	for _, c := range slices.Concat(f.ingests, f.engines, f.gateways) {
		if err := c.Start(); err != nil {
			return err
		}
	}
	for _, c := range slices.Concat(f.ingests, f.engines, f.gateways) {
		if err := child.Await(ctx, c, waitLimit, "runs", func(*map[string]any) bool { return true }); err != nil {
			return err
		}
		f.say("%s runs, process %d, status on http://%s/status", c.Name, c.Process(), c.Address)
	}
	return f.untilShared(ctx, f.engines)
}

// owners gives the partitions of each engine, by what its status says.
func (f *fleet) owners(ctx context.Context, of []*child.Child) map[string][]int {
	out := map[string][]int{}
	for _, c := range of {
		var s server.Status
		if err := cli.Fetch(ctx, child.HTTPClient(), "http://"+c.Address+"/status", &s); err != nil {
			continue // it is asked again
		}
		for _, t := range s.Tasks {
			if t.State == server.TaskRunning {
				out[c.Name] = append(out[c.Name], t.Partition)
			}
		}
	}
	return out
}

// untilShared waits until each partition is at work at one of the engines, and
// each of them has some.
func (f *fleet) untilShared(ctx context.Context, among []*child.Child) error {
	var last map[string][]int
	err := until(ctx, waitLimit, func() bool {
		last = f.owners(ctx, among)
		all := slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(last))...)))
		return len(last) == len(among) && len(all) == partitions && len(slices.Compact(all)) == partitions
	})
	if err != nil {
		return fmt.Errorf("wait until the engines share the partitions, which were %v: %w", last, err)
	}
	for _, c := range among {
		f.say("%s works on partitions %s", c.Name, list(last[c.Name]))
	}
	return nil
}

// look is the time between two looks at a condition.
const look = 100 * time.Millisecond

// until waits for a condition.
func until(ctx context.Context, limit time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// list gives numbers of partitions in order.
func list(partitions []int) string {
	return strings.Trim(fmt.Sprint(slices.Sorted(slices.Values(partitions))), "[]")
}

// path gives a name in the demo's directory.
func (f *fleet) path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}
