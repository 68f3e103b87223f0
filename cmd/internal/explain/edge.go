package explain

import (
	"fmt"

	"landfall/edge/agent"
	"landfall/edge/forward"
	"landfall/edge/seglog"
)

// Edge explains a gateway.
func Edge(c *agent.Config) []Handoff {
	var out []Handoff
	for i := range c.Sources {
		out = append(out, capture(&c.Sources[i], c))
	}
	link := Handoff{
		From: "edge log", To: "landing log", Commit: "C2", Guarantee: ExactlyOnce,
		Why: "Blocks go in order, one request in flight, each starting at an offset the cloud acknowledged after its own fsync; " +
			"after any doubt the gateway asks before it sends. The task checks every offset: what came before is dropped and counted, what contradicts is kept in conflict.",
	}
	if c.Log.WhenFull == seglog.ShedOldest.String() {
		link.Limits = append(link.Limits, "when_full is shed-oldest: when the disk is full the oldest segment is given up; its offsets become rows of loss, and the audit is not exact.")
	}
	link.Limits = append(link.Limits, "what became durable in the last second before a kill or power cut, after the last tail marker, and is damaged at the very end of the log before it is forwarded, is not told from a write that was interrupted: it is gone without a row of loss. What the marker covers becomes rows of loss.")
	if c.Forward.CertFile == "" {
		link.Limits = append(link.Limits, "without a certificate of its own the gateway is whoever uses its name.")
	}
	release := Handoff{
		From: "edge log", To: "free space", Commit: "C3", Guarantee: ExactlyOnce,
		Why: "A segment is deleted only when it lies wholly below the offset that the engine told to be published (in the lake, verified, in its ledger), and that offset is on disk before. " +
			"What the landing log loses before that is sent again.",
		Limits: []string{"an engine that does not tell what is published (older, or without a lake) has records deleted when they have landed; status says so."},
	}
	if c.Forward.Release == forward.ReleaseLanded.String() {
		release.Why = "A segment is deleted only when it lies wholly below the offset that has landed, and that offset is on disk before."
		release.Limits = []string{"release is landed: what the landing log loses before it is published is lost."}
	}
	return append(out, link, release)
}

// capture explains one source up to C1.
func capture(s *agent.SourceConfig, c *agent.Config) Handoff {
	h := Handoff{From: fmt.Sprintf("%s (%s %s)", s.Name, s.Kind(), s.Where()), To: "edge log", Commit: "C1"}
	switch {
	case s.File != nil:
		h.Guarantee = ExactlyOnce
		h.Why = "The position in the file stands in the same block as the records, fsynced at once; after a crash reading goes on exactly there."
		if s.File.Follow {
			h.Why += " A file that is rotated is known by its inode and by every byte that was read of it, under any name, also packed with gzip, and read to its end and for the grace beyond, then those rotated after it."
			h.Limits = append(h.Limits,
				"where it cannot be shown that nothing is missing (a file that was cut in place, as copytruncate does, one that is gone, a hole in the numbers, lines added after the grace) the interval is a row: metric gap; health is red until landfall-edge acknowledge.",
				"while lines are still added to a file that was renamed, those of the new one wait.",
				"content is every byte that was read, compared at each start, when nobody looked for 10 s, and when a file comes beside; between two looks only the first 1,024 bytes and the 256 before the position: a file that was cut and written again beyond the position within one poll_interval, alike there, is noticed at one of these.",
				"a position that an older version noted has only these 1,024 and 256 bytes to compare, once, at the first start of this one.",
				"files of which every line is the same up to the position are told apart by inode alone; where that does not tell, it is a gap.",
				"lines added to a file after it was left are only noticed in the last two files left.")
		}
		h.Limits = append(h.Limits, "the positions lie in data_dir: with another, lost or restored one the files are read again, and their lines come twice.")
		if len(s.File.Siblings) > 0 {
			h.Limits = append(h.Limits, "files of siblings whose names are not the path's with numbers or dates are ordered by when they were written last.")
		}
	case s.Acked != nil:
		explainAcked(s.Acked, &h)
	case s.Modbus != nil:
		explainModbus(s, c, &h)
	case s.Sparkplug != nil:
		explainSparkplug(&h)
	case s.MQTT != nil:
		explainMQTT(s, &h)
	case s.Node != nil:
		h.Guarantee = ExactlyOnce
		h.Why = "The node writes each reading to its flash before it sends it, and keeps it until it is acknowledged, which happens after the fsync; the numbers and contents of what was taken " +
			"stand in the same block as the readings, so one sent again is known, and one that contradicts is kept as such."
		h.Limits = append(h.Limits, "what the node's flash overruns before it is taken is lost there; each such range is a row: metric lost_first and lost_last.",
			"a node that is moved to another gateway before it heard the acknowledgement of what was taken here brings that again: it is there twice, once of each gateway. Status counts as possibly_twice what may be so, and is red; "+
				"not of a node that never had the time of a gateway, nor of one that comes back to a gateway before it heard an acknowledgement elsewhere.")
	default:
		h.Guarantee = AtMostOnce
		h.Why = fmt.Sprintf("A radio cannot be asked again: what was received and not yet fsynced (at most %s, or a fragment that waits %s for its partner) is gone with the process. "+
			"The interval in which nothing can have been captured is declared in the next log. From the fsync on it is exactly once.", c.Capture.GroupInterval, c.Capture.FragmentLimit)
		h.Limits = transportLimits(s)
	}
	if c.Log.WhenFull == seglog.Block.String() && h.Guarantee == AtMostOnce && !s.Resends() {
		h.Limits = append(h.Limits, "when_full is block: while the log is full nothing is taken, and what the radio says meanwhile is lost; status shows since when.")
	}
	return h
}

// explainAcked explains the acknowledged protocol. Version 1 knows a line by its number
// alone, so it is not exact where it is taken.
func explainAcked(s *agent.AckedConfig, h *Handoff) {
	h.Guarantee = ExactlyOnce
	h.Why = "The sender keeps each line until it is acknowledged, which happens after the fsync. What was taken stands in the same block as the records: " +
		"of senders of version 2 of the protocol a digest over epoch, number and bytes of the 512 lines taken last, so that a line sent again is known and other bytes under its number are answered ERR."
	moved := "a sender that is moved to another gateway before it heard the acknowledgement of what was taken here sends that again: it is there twice, once of each gateway."
	h.Limits = append(h.Limits, "a sender that starts its numbers again has to begin a new epoch; what it sends again in another epoch is there twice. So is what it sends again after another sender used its name for more than 256 lines.")
	if !s.Exact() {
		h.Guarantee = AtMostOnce
		h.Limits = append(h.Limits, "senders of version 1 are taken, too, and are known by their name and number only: lines of one whose numbers start again, or whose name another used with higher numbers, are acknowledged and not captured. "+
			"Of one whose numbers only rise and whose name nobody else can use each line is captured once. min_version: 2 refuses them, and then it is exactly once.")
		moved += " Status counts as moved the senders of version 1 that were not known and began above 1."
	}
	if len(s.Allow) == 0 && s.TokenFile == "" {
		h.Limits = append(h.Limits, "whoever reaches the port can send under any name: allow or token_file say who may.")
	}
	h.Limits = append(h.Limits, moved)
}

func transportLimits(s *agent.SourceConfig) []string {
	switch {
	case s.UDP != nil:
		return []string{"datagrams the network or the kernel drops never arrive; the kernel's are counted."}
	case s.Serial != nil:
		return []string{"what the port overruns, and what comes while it is unplugged, never arrives."}
	}
	return []string{"what the peer sends while there is no connection never arrives."}
}
