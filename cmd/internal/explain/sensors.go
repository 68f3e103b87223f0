package explain

import (
	"fmt"
	"strings"

	"landfall/edge/agent"
)

// explainMQTT explains messages from a broker.
func explainMQTT(s *agent.SourceConfig, h *Handoff) {
	if !s.Resends() {
		h.Guarantee = AtMostOnce
		h.Why = "QoS is 0: the broker forgets a message when it has sent it, and sends none while there is no connection."
		return
	}
	h.Why = "The broker keeps each message until it is acknowledged, which happens after the fsync."
	if s.MQTT.QualityOfService() == 2 {
		h.Why += " QoS 2 is not trusted alone: a broker that was killed sends again what it had finished."
	}
	h.Guarantee = ExactlyOnce
	h.Limits = append(h.Limits, "whoever else may connect to the broker with this client_id takes the session over: messages that it acknowledges never come here. Status counts as takeovers the connections that the broker ended and took the next of at once, and is red where that happens again; it cannot tell another client from something between that cuts connections, and forgotten counts it where the session was ended. The broker has to tie the id to the name or certificate.")
	unidentified, shared := s.MQTT.Unidentified(), s.MQTT.Shared()
	if len(unidentified) < len(s.MQTT.Topics) {
		h.Why += " One that is sent again has the same topic and bytes, its own time or number included; what was taken is remembered in the same block as the records."
		h.Limits = append(h.Limits,
			"two messages of a topic with the same bytes are taken for one: the time or number must be another in each, after a restart of the sender too.",
			fmt.Sprintf("a message whose field of time or number is absent or cannot be read is taken twice when it is sent again (status counts it as unidentified, and explain says so while the gateway runs); so is one sent again after more than mqtt.remember (%d) others. "+
				"A broker that was killed sends again all that it held when it last saved: remember must be more than that (mosquitto: max_queued_messages, autosave_interval).", s.MQTT.Remembered()))
	}
	if len(unidentified) > 0 {
		h.Guarantee = AtLeastOnce
		h.Why += fmt.Sprintf(" Topics without time_field and sequence_field (%s) have messages without an identity: one that is sent again after a crash or a cut cannot be told from a new one with the same values, so it is taken twice.", strings.Join(unidentified, ", "))
	}
	if len(shared) > 0 {
		h.Guarantee = AtLeastOnce
		h.Why += fmt.Sprintf(" Of shared subscriptions (%s) the broker may send again to another of the group, which does not know that a message was taken here.", strings.Join(shared, ", "))
	}
	if len(unidentified) > 0 {
		h.Limits = append(h.Limits, "a retained message without an identity that has the value which was taken last of its topic is taken for a repeat, after a reconnect, for an eighth as many topics as are remembered; one that was first taken live is taken once more.")
	}
	h.Limits = append(h.Limits,
		"what its publisher sends at QoS 0 comes at QoS 0, whatever is asked for here: at most once; status counts it as downgraded.",
		"it begins where the broker has the message on disk: what a broker forgets when it is killed, its publishers must send again.",
		"the broker keeps messages for an absent gateway only from the first connection on, and within its own limits (mosquitto: max_queued_messages); a session that it forgot is counted as forgotten.")
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
