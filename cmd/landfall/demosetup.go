package main

import (
	"errors"
	"fmt"
	"io"

	"landfall/cmd/internal/child"
	"landfall/cmd/internal/traffic"
	"landfall/edge/durable"
)

const engineConfig = `# The engine of landfall demo.
listen: %s
status: %s
identity: {unauthenticated: true} # nothing here listens beyond loopback
landing: {dir: %q, partitions: 2, reserve: 64MiB}
lake: {dir: %q}
epoch: {interval: 2s}
`

const edgeConfig = `# Gateway %[1]s of landfall demo.
gateway: %[1]s
data_dir: %[2]q
status: %[3]s
log: {reserve: 64MiB, quota: 1GiB}
forward: {url: "http://%[4]s"}
drain_timeout: 20s
watermark: {disorder: 5s, idle_timeout: 10s}
sources:
`

// prepare chooses ports, writes the configurations, opens the outputs, and
// gives the log files to close at the end.
func (d *demo) prepare() ([]io.Closer, error) {
	var ports []string
	for _, network := range []string{"tcp", "tcp", "tcp", "tcp", "tcp", "tcp", "udp"} {
		p, err := child.FreePort(network)
		if err != nil {
			return nil, fmt.Errorf("choose a port: %w", err)
		}
		ports = append(ports, p)
	}
	listen, statuses, tcp, acked, udp := ports[0], ports[1:4], ports[4], ports[5], ports[6]
	serial, err := d.open(tcp, udp, acked)
	if err != nil {
		return nil, err
	}
	north := fmt.Sprintf("  - {name: mole, tcp_server: {listen: %q}}\n  - {name: tower, udp: {listen: %q}}\n", tcp, udp)
	if serial != "" {
		north += fmt.Sprintf("  - {name: quay, serial: {device: %q}}\n", serial)
	}
	pilot := fmt.Sprintf("  - {name: pilot, acked: {listen: %q, min_version: 2}}\n", acked)
	d.engine = &child.Child{Name: "engine", Args: d.daemon(engineVerb, "engine"), Address: statuses[0]}
	d.north = &child.Child{Name: "gateway north", Args: d.daemon(edgeVerb, "north"), Address: statuses[1]}
	d.pilot = &child.Child{Name: "gateway pilot", Args: d.daemon(edgeVerb, "pilot"), Address: statuses[2]}
	texts := []string{
		fmt.Sprintf(engineConfig, listen, statuses[0], d.path("landing"), d.path("lake")),
		fmt.Sprintf(edgeConfig, "north", d.path("north"), statuses[1], listen) + north,
		fmt.Sprintf(edgeConfig, "pilot", d.path("pilot"), statuses[2], listen) + pilot,
	}
	var logs []io.Closer
	for i, c := range d.children() {
		file := []string{"engine", "north", "pilot"}[i]
		if err := durable.WriteFileAtomic(durable.OS{}, d.config(file), []byte(texts[i])); err != nil {
			return logs, err
		}
		log, err := durable.OS{}.Create(d.path(file + ".log"))
		if err != nil {
			return logs, err
		}
		c.Log = log
		logs = append(logs, log)
	}
	return logs, nil
}

// config is where a daemon's configuration lies.
func (d *demo) config(name string) string { return d.path(name + ".yaml") }

// daemon gives the arguments with which this program is a daemon.
func (d *demo) daemon(verb, name string) []string {
	return []string{verb, "run", "--config", d.config(name)}
}

// open opens the outputs of the four receivers and gives the serial device;
// where there are no pseudo terminals the third receiver is not heard.
func (d *demo) open(tcp, udp, acked string) (serial string, err error) {
	datagrams, err := traffic.DialUDP(udp)
	if err != nil {
		return "", err
	}
	line, serial, err := traffic.OpenPTY()
	if errors.Is(err, errors.ErrUnsupported) {
		line, err = traffic.DialTCP(tcp), nil
	}
	if err != nil {
		return "", err
	}
	d.outputs = []traffic.Output{traffic.DialTCP(tcp), datagrams, line, traffic.DialAcked(acked, "pilot-boat")}
	d.names = []string{"TCP", "UDP", "a serial line", "the acknowledged protocol"}
	return serial, nil
}
