package explain

import (
	"fmt"

	"landfall/edge/agent"
)

// explainMQTT explains messages from a broker.
func explainMQTT(s *agent.SourceConfig, h *Handoff) {
	switch {
	case !s.Resends():
		h.Guarantee = AtMostOnce
		h.Why = "QoS is 0: the broker forgets a message when it has sent it, and sends none while there is no connection."
		return
	case s.Identified():
		h.Guarantee = ExactlyOnce
		h.Why = "The broker keeps each message until it is acknowledged, which happens after the fsync. " +
			"One that is sent again has the same topic and bytes, its own time or number included; what was taken is remembered in the same block as the records."
		h.Limits = append(h.Limits, "a message that lacks the field with its time or number, and one sent again after more than mqtt.remember others, cannot be known again and is taken twice.")
	default:
		h.Guarantee = AtLeastOnce
		h.Why = "The broker keeps each message until it is acknowledged, which happens after the fsync. " +
			"A topic without time_field and sequence_field has messages without an identity: one that is sent again after a crash or a cut cannot be told from a new one with the same values, so it is taken twice."
	}
	h.Limits = append(h.Limits,
		"it begins where the broker has the message on disk: what a broker forgets when it is killed, its publishers must send again.",
		"the broker keeps messages for an absent gateway only from the first connection on, and within its own limits (mosquitto: max_queued_messages).")
}

// explainSparkplug explains Sparkplug B.
func explainSparkplug(h *Handoff) {
	h.Guarantee = AtMostOnce
	h.Why = "Sparkplug B is QoS 0 in clean sessions by its specification: nothing is sent again. Each message of a node has a number, so what is missing is counted (lost in status), " +
		"and the node is asked for its births, because one may be among it."
	h.Limits = append(h.Limits, "a number runs from 0 to 255: of a longer gap only what is beyond a multiple of 256 is counted.")
}

// explainModbus explains polling.
func explainModbus(_ *agent.SourceConfig, c *agent.Config, h *Handoff) {
	h.Guarantee = AtMostOnce
	h.Why = fmt.Sprintf("A register holds what is so now: what was read and not yet fsynced (at most %s) cannot be read again. "+
		"What could not be read is a reading without a value, whose quality says why, at every interval: no gap is silent, and no old value has a new time.", c.Capture.GroupInterval)
	h.Limits = append(h.Limits, "what changes between two polls is not seen.")
}
