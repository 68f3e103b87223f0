// Package agent is the gateway's daemon, assembled: sources, capture, log and
// forwarding, with a status page beside them.
//
// In:  a Config; the sources it names.
// Out: blocks at the ingest it names; where each log ended, in a file that is kept
// (edge/tips); Status, as JSON, metrics and health, on loopback.
//
// Invariants
//
//  1. Parts are made in data's order backwards (log, forwarding, sources,
//     capture), so that nothing is taken in that has no way out, and closed in
//     data's order: sources and capture first, then forwarding, both with a
//     deadline, then the log.
//  2. Nothing but a stop, or the end of all sources with everything forwarded,
//     ends Run without an error. An absent device, an absent cloud and a full
//     disk are states, not errors.
//  3. Health is red when data does not flow as it should, and says why; it does
//     not stop anything.
//
// New and Run belong to one goroutine. Status may be called from any. Config.Tips
// reads a gateway's directory beside a running one.
package agent
