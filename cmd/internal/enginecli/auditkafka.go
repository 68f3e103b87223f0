package enginecli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/cmd/internal/cli"
	"landfall/edge/config"
	"landfall/engine/audit"
	"landfall/engine/server"
	"landfall/engine/table"
)

// kafkaFlags say which topics are audited.
type kafkaFlags struct{ brokers, prefix, markers, file string }

func newKafkaFlags(c *cobra.Command) *kafkaFlags {
	f, d := &kafkaFlags{}, server.DefaultKafkaSink()
	c.Flags().StringVar(&f.brokers, "kafka", "", "`BROKERS` (host:port,…) whose topics are audited too")
	c.Flags().StringVar(&f.prefix, "kafka-prefix", d.Prefix, "`PREFIX` of the tables' topics")
	c.Flags().StringVar(&f.markers, "kafka-markers", "", "`TOPIC` of the markers; default: prefix and markers")
	c.Flags().StringVar(&f.file, "kafka-config", "", "`FILE`: the engine's configuration, whose Kafka sink is audited, with its tables, topics, TLS and SASL")
	return f
}

func (f *kafkaFlags) given() bool { return f.brokers != "" || f.file != "" }

// sink gives the Kafka sink that is meant.
func (f *kafkaFlags) sink() (*server.KafkaSinkConfig, *config.File, error) {
	if f.file == "" {
		k := server.DefaultKafkaSink()
		k.Brokers, k.Prefix, k.MarkerTopic = strings.Split(f.brokers, ","), f.prefix, f.markers
		return &k, nil, nil
	}
	if f.brokers != "" {
		return nil, nil, cli.Fail(cli.ExitUsage, fmt.Errorf("audit: --kafka or --kafka-config, not both"))
	}
	c, file, err := load(f.file)
	if err != nil {
		return nil, nil, err
	}
	if !c.Sinks.Kafka.Enabled() {
		return nil, nil, cli.Fail(cli.ExitUsage, fmt.Errorf("audit: %s has no Kafka sink", f.file))
	}
	return &c.Sinks.Kafka, file, nil
}

// audit audits the topics; nil where none were asked for. lake is the result of the lake
// beside; nil: none was audited.
func (f *kafkaFlags) audit(ctx context.Context, lake *audit.Result) (*audit.Result, error) {
	if !f.given() {
		return nil, nil
	}
	k, file, err := f.sink()
	if err != nil {
		return nil, err
	}
	sink, err := kafkaSink(k)
	if err != nil {
		if file != nil {
			err = file.Locate(err)
		}
		return nil, err
	}
	c := audit.TopicsConfig{
		Client: append([]kgo.Opt{kgo.SeedBrokers(k.Brokers...), kgo.ClientID("landfall-audit")}, sink.Client...),
		Topics: make(map[table.Name]string), Markers: k.Markers(), Name: fmt.Sprintf("kafka %s, %s*", strings.Join(k.Brokers, ","), k.Prefix),
		Lake: lake,
	}
	for _, name := range k.TableNames() {
		c.Topics[name] = k.Topic(name)
	}
	return audit.RunTopics(ctx, c)
}
