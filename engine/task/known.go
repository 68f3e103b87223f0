package task

import (
	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/state"
)

// KnownLog is what a ledger knows of a log.
type KnownLog struct {
	ID      record.LogID
	Gateway string
	Next    record.Offset
	Chain   record.Hash // of the block that ends at Next; zero: after a loss
	Digest  ais.Opt[record.Digest]
	// Previous, PreviousEnd and OpenedAt are what its first record said; a zero
	// Previous: none; record.NoTime: not known.
	Previous    record.LogID
	PreviousEnd record.Offset
	OpenedAt    record.Micros
	Closed      bool
}

// KnownGateway is what a lake knows of a gateway.
type KnownGateway struct {
	Name      string
	Watermark record.Micros // record.NoTime: it has told none
	Log       record.LogID  // its newest log
}

// KeepKnown registers in a new state what a task itself remembers, and fills it.
// What only the blocks tell is not in it: the boundaries of the last ones, so that a
// copy of what was taken before is dropped without being compared, and how many came
// beyond a gap.
func KeepKnown(s *state.State, logs []KnownLog, gateways []KnownGateway) error {
	logTable, err := state.Register(s, "logs", logCodec{})
	if err != nil {
		return err
	}
	gatewayTable, err := state.Register(s, "gateways", gatewayCodec{})
	if err != nil {
		return err
	}
	for _, l := range logs {
		logTable.Put(l.ID, logState{
			Gateway: l.Gateway, Next: l.Next, Hash: l.Chain, Digest: l.Digest,
			Previous: l.Previous, PreviousEnd: l.PreviousEnd, OpenedAt: l.OpenedAt, Closed: l.Closed,
		})
	}
	for _, g := range gateways {
		gatewayTable.Put(g.Name, gatewayState{Watermark: g.Watermark, Log: g.Log})
	}
	return nil
}
