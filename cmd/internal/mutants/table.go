package main

import "slices"

// table lists the places, in data's way: what holds a sensor node's readings, what a broker and a line bring, C1, the link, C2, the task's
// judgement, C4, C5 and release; and at last what the daemons owe to whoever runs them.
func table() []mutant {
	return slices.Concat(nodeMutants(), brokerMutants(), lineMutants(), timeMutants(), edgeMutants(), digestMutants(), linkMutants(), taskMutants(), logMutants(),
		commitMutants(), ledgerMutants(), remakeMutants(), publishMutants(), bucketMutants(), topicMutants(), kafkaMutants(), daemonMutants(), storeMutants(),
		auditMutants(), repairMutants(), publishedMutants())
}

func nodeMutants() []mutant {
	firmware, node := []string{"-run", "TestHost", "./firmware"}, []string{"-run", "Node", "./edge/source"}
	return []mutant{
		{"a slot is read back before its reading has a number", "firmware/src/store.c",
			"return memcmp(p, back, len) == 0;", "return memcmp(p, back, 0) == 0;", firmware},
		{"a slot of an earlier lap is none", "firmware/src/flash.h",
			"return (uint32_t)format ^ generation;", "return (uint32_t)format + 0 * generation;", firmware},
		{"a gateway is believed only as far as the flash reached", "firmware/src/link.c",
			"if (p[6] != 0 && durable <= own)", "if (p[6] != 0 && own <= s->last)", firmware},
		{"a node takes its own acknowledgements only", "firmware/src/link.c",
			"if (len < FRAME_HEAD || get32(p + 1) != (uint32_t)l->store->format) return;", "if (len < FRAME_HEAD) return;", firmware},
		{"a node is acknowledged after C1", "edge/source/node.go",
			"	n.lines(b)\n", "	n.lines(b)\n\tb.Durable()\n", node},
		{"a node's mark rides with its readings", "edge/source/node.go",
			"state.history.encode()\n", "new(nodeHistory).encode()\n", node},
		{"a node's repeats are compared by content", "edge/source/nodemark.go",
			"slices.Contains(h.recent, nodeContent{sequence, crc})", "slices.ContainsFunc(h.recent, func(c nodeContent) bool { return c.sequence == sequence })", node},
		{"a node's repeats beyond what is remembered are kept", "edge/source/nodemark.go",
			"fate = nodeConflict\n", "if fate = nodeConflict; sequence+nodeRecent <= h.high {\n\t\t\treturn nodeRepeat\n\t\t}\n", node},
		{"a node's readings are taken in turn", "edge/source/nodesession.go",
			"	if r.sequence > s.expected {", "	if r.sequence > s.expected+1<<40 {", node},
		{"what of a lost range is known is not told again", "edge/source/nodesession.go",
			"first = max(first, s.state.history.high+1); first > last", "first = max(first, 1); first > last", node},
		{"nothing of a node is taken for another's", "edge/source/nodesession.go",
			"s.state == nil || tag != s.hello.id.tag()", "s.state == nil || tag == 0", node},
	}
}

func brokerMutants() []mutant {
	broker := []string{"-run", "Message|Broker|Seen|MQTT|Filter", "./edge/source"}
	return []mutant{
		{"a message is acknowledged after C1", "edge/source/mqtt.go",
			"\t\tm.lines(b)\n", "\t\tm.lines(b)\n\t\tif b.Durable != nil {\n\t\t\tb.Durable()\n\t\t}\n", broker},
		{"a message that was taken is known when it comes again", "edge/source/mqttseen.go",
			"\t_, ok := s.taken[hash]\n\treturn ok", "\treturn hash == 0", broker},
		{"which messages were taken rides with them", "edge/source/mqtt.go",
			"b.Mark, b.Position = seen.mark()", "_, _ = seen.mark()", broker},
		{"what is configured no more is unsubscribed", "edge/source/mqttlink.go",
			"err = l.unsubscribe(ctx, client)", "l.subscribed.forget()", broker},
		{"a filter is noted before it is subscribed", "edge/source/mqttfilters.go",
			"if err := s.write(append(list, s.want...)); err != nil {", "if s.list = append(list, s.want...); err != nil {", broker},
	}
}

func lineMutants() []mutant {
	return []mutant{
		{"a port whose reader was killed is not left exclusive", "edge/source/serialclaim_linux.go",
			"unix.IoctlSetInt(c.fd, unix.TIOCNXCL, 0)", "unix.IoctlSetInt(c.fd, unix.TIOCEXCL, 0)", []string{"-run", "SerialAfterKill", "./edge/source"}},
		{"two gateways do not share a port", "edge/source/serialclaim_linux.go",
			"unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)", "unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)", []string{"-run", "SerialAfterKill", "./edge/source"}},
		{"a value that could not be read is no old one", "edge/source/modbus.go",
			"\t\tr.Readings = q.Failed(d.Sensor, quality, nil)", "\t\tr.Readings = q.Readings(d.Sensor, make([]byte, 2*q.Count), nil)", []string{"-run", "Modbus", "./edge/source"}},
		{"a dead slave leaves the bus to the others", "edge/source/modbus.go",
			"d.askAt = time.Now()", "d.askAt = time.Time{}", []string{"-run", "DeadSlave", "./edge/source"}},
		{"an answer that comes late is no answer to the next question", "edge/source/modbus.go",
			"d.suspect = d.suspect || !isException(err)", "d.suspect = false", []string{"-run", "ModbusTroubles", "./edge/source"}},
	}
}

func timeMutants() []mutant {
	ingest, capture, marks := []string{"./engine/ingest"}, []string{"./edge/capture"}, []string{"-run", "Watermark|Stalled|WrongYear", "./edge/clock"}
	windows := []string{"-run", "Window", "./engine/operator", "./engine/task"}
	return []mutant{
		{"a stated time that the clock refutes does not stand", "edge/capture/timing.go",
			"(e.Quality < record.QualityAsserted || c.believes(m, now, uncertain))", "(e.Quality < record.QualityAsserted || c.believes(m, now, uncertain) || m.own.is())", capture},
		{"the time of a boot lands beside its block", "engine/ingest/session.go",
			"Block: b.Bytes, Clock: s.head.Clock}", "Block: b.Bytes}", ingest},
		{"a row whose time nothing confirms lies under the day it landed", "sinks/parquet/stage.go",
			"if t.TimeQuality == record.QualityUnsynchronised {", "if t.TimeQuality > 99 {", []string{"./sinks/parquet"}},
		{"a day that only the wall clock states is nobody's word", "edge/clock/choose.go",
			"case !b.dated:", "case b.samples < 0:", capture},
		{"what nothing confirms moves no watermark", "edge/capture/group.go",
			"\t\treturn // an hour", "\t\t// an hour", capture},
		{"what a source had kept tells nothing of now", "edge/capture/capturer.go",
			"c.cfg.Clock != nil && !report.Kept {", "c.cfg.Clock != nil {", capture},
		{"a clock that nothing keeps is no evidence", "edge/clock/discipline_linux.go",
			"state == clockError || t.Status&clockUnsynchronised != 0 || ", "", []string{"-run", "Discipline", "./edge/clock"}},
		{"no time ahead of the clock moves a watermark", "edge/clock/watermark.go",
			"event > wall+record.Micros(w.tolerance)", "event > wall+1<<60", marks},
		{"a source that wakes rejoins at once", "edge/clock/watermark.go",
			"\ts.heard = max(s.heard, mono)\n", "", marks},
		{"a watermark never goes back", "edge/clock/watermark.go",
			"w.gateway = max(w.gateway, low)", "w.gateway = low", marks},
		{"a gateway's watermark is the least of its sources'", "edge/clock/watermark.go",
			"!active || s.at < low", "!active || s.at > low", marks},
		{"a window that closes is gone", "engine/operator/window.go",
			"\t\tw.sums.Delete(k)\n", "", windows},
		{"a window that has closed does not open again", "engine/operator/window.go",
			"if ok && start+size <= closed ||", "if ok && closed < 0 ||", windows},
		{"a reading that came too late is a row of late", "engine/operator/window.go",
			"out.Lates = append(out.Lates,", "_ = append(out.Lates,", windows},
		{"windows that were open close after a restart", "engine/task/process.go",
			"\tp.window.Restored()\n", "", windows},
		{"each gateway closes its own windows", "engine/operator/window.go",
			"g := w.open[gateway]\n", "g := w.open[gateway]\n\tfor _, other := range w.open {\n\t\tg = other\n\t}\n", windows},
		{"a gateway that is behind is left out of complete-through", "engine/server/complete.go",
			"why == \"\" && marks[name] < newest-limit", "why == \"\" && marks[name] < newest-1<<60", []string{"-run", "Complete", "./engine/server"}},
		{"topics of some tables are held against the lake by what they can tell", "engine/audit/topics.go",
			"!slices.Contains(topics.untold, c.name)", "len(topics.untold) == 0", []string{"-run", "Topics", "./engine/audit"}},
		{"rows of window and late name records that are there", "engine/audit/result.go",
			"n := l.underived(); n > 0", "n := l.underived(); n > 1<<60", []string{"./engine/audit"}},
		{"watermarks stand in the manifest", "engine/task/task.go",
			"Snapshot: l.processor.state.Snapshot, Watermarks: watermarks,", "Snapshot: l.processor.state.Snapshot,", []string{"./engine/task"}},
		{"a record of a boot whose time was learned later gets it", "engine/operator/restamp.go",
			"c.Anchor == nil {", "c.Anchor == nil || c.Gateway != \"\" {", []string{"./engine/task"}},
	}
}

func edgeMutants() []mutant {
	seglog, capture := []string{"./edge/seglog"}, []string{"./edge/capture"}
	return []mutant{
		{"C1: fsync of the segment", "edge/seglog/append.go",
			"if err := t.file.SyncData(); err != nil || t.spare == \"\" {\n\t\treturn err\n\t}", "if t.spare == \"\" {\n\t\treturn nil\n\t}", seglog},
		{"C1: fsync of a new segment's directory", "edge/seglog/append.go",
			"if err := s.fs.SyncDir(s.cfg.Dir); err != nil {\n\t\treturn err\n\t}\n\tfailpoint.Hit(\"segment.after-create\")", "failpoint.Hit(\"segment.after-create\")", seglog},
		{"the chained hash goes on from block to block", "edge/seglog/append.go",
			"a.prev, a.next, a.digest = hash, first+", "_ = hash\n\ta.prev, a.next, a.digest = record.Hash{}, first+", seglog},
		{"a failed fsync makes the file dead", "edge/seglog/append.go",
			"\t\ts.abandon(t, err)\n", "", seglog},
		{"a dropped segment's name is gone before it is recycled", "edge/seglog/release.go",
			"if err := s.fs.SyncDir(s.cfg.Dir); err != nil {\n\t\t_ = s.fs.Remove", "if err := error(nil); err != nil {\n\t\t_ = s.fs.Remove", seglog},
		{"an atomic write syncs the file before its name", "edge/durable/helpers.go",
			"\tif err := f.Sync(); err != nil {\n\t\treturn errors.Join(err, f.Close())\n\t}\n\treturn f.Close()", "\treturn f.Close()", []string{"./edge/durable/..."}},
		{"an atomic write syncs the directory", "edge/durable/helpers.go",
			"if err := fsys.SyncDir(filepath.Dir(name)); err != nil {\n\t\treturn fmt.Errorf(\"write %s: %w\", name, err)\n\t}\n\treturn nil", "return nil", []string{"./edge/durable/..."}},
		{"a source is told after C1 only", "edge/capture/live.go",
			"Pulse.Beat()\n\t\tif err == nil {", "Pulse.Beat()\n\t\tif err == nil || g.urgent {", capture},
		{"fragments that wait ride in the block", "edge/capture/group.go",
			"; g.keeping || g.kept {", "; false {", capture},
		{"a restart remembers contested keys and counts", "edge/capture/snapshot.go",
			"if !s.resends || m.Total == 0 {", "if m.Total >= 0 {", capture},
		{"a stall is not held against a source that resends", "edge/capture/waiting.go",
			"min(d, s.step)", "d", capture},
		{"a damaged version byte is damage", "edge/seglog/format.go",
			"err := record.JudgeVersion(p); err != nil {\n\t\treturn header", "err := record.JudgeVersion(p); err != nil || p[3] != headerVersion {\n\t\terr = fmt.Errorf(\"mutant: %w\", record.ErrVersion)\n\t\treturn header", seglog},
		{"the newest segment is noted", "edge/seglog/append.go",
			"\t\t\ts.noteNewest(false)\n", "", seglog},
		{"a note is gone before its segment is released", "edge/seglog/release.go",
			"noted := l.newest != nil && g ==", "noted := false && g ==", seglog},
		{"a note that came back is removed again", "edge/seglog/newest.go",
			"; errors.Is(err, fs.ErrNotExist) {\n\t\tif err := durable.WriteFileAtomic", "; errors.Is(err, fs.ErrNotExist) && l == nil {\n\t\tif err := durable.WriteFileAtomic", seglog},
		{"the newest log stays until the next one names it", "edge/seglog/release.go",
			"noted := l != s.logs[len(s.logs)-1] && ", "noted := !l.active && ", seglog},
		{"the end of a log without its newest segment is unproven", "edge/seglog/recover.go",
			"s.app.unproven = !known", "s.app.unproven = false && !known", seglog},
	}
}

func linkMutants() []mutant {
	forward, ingest := []string{"./edge/forward"}, []string{"./engine/ingest", "./edge/forward"}
	return []mutant{
		{"AckedOffset is durable before anything is released (C3)", "edge/forward/session.go",
			"\tif s.dirty = err != nil; s.dirty {", "\tif s.dirty = err != nil; false {", forward},
		{"an ambiguous end is followed by a question", "edge/forward/core.go",
			"\tc.ask = c.ask || a.Log == c.current\n\tc.unheard", "\tc.unheard", forward},
		{"an answer below what is settled makes the log red", "edge/forward/core.go",
			"case a.Known && a.Acked < floor:", "case a.Known && a.Acked < floor && false:", forward},
		{"what is released is published", "edge/forward/release.go",
			"case c.release == ReleasePublished:\n\t\treturn m.Published", "case c.release == ReleasePublished:\n\t\treturn m.Next", forward},
		{"what is published never goes back", "edge/forward/core.go",
			"pub.Next < was.Published:", "false:", forward},
		{"the hash of what is published is compared", "edge/forward/core.go",
			"case e.Forged, a.PublishedKnown", "case false, a.PublishedKnown", forward},
		{"and with the one told before", "edge/forward/core.go",
			"&& differ(pub.Hash, was.PublishedHash):", "&& false:", forward},
		{"what is published is compared with the own log", "edge/forward/session.go",
			"e.Forged, err = s.contradicts(", "_, err = s.contradicts(", forward},
		{"what was sent to be kept is kept when the promise ends", "edge/forward/release.go",
			"m.Kept = max(m.Kept, l.End)", "m.Kept = max(m.Kept, 0)", forward},
		{"an ingest that tells no more releases nothing for a day", "edge/forward/release.go",
			"case c.telling.QuietSince == 0:\n\t\tc", "case c.telling.QuietSince == 0:\n\t\tc.gaveUp = true\n\t\tc", forward},
		{"a log that is landed and not published is asked about", "edge/forward/core.go",
			"c.toHear(now, logs, log)", "c.toHear(now, nil, log)", forward},
		{"what nobody holds is sent again", "edge/forward/core.go",
			"if c.sendAgain(e) {", "if false && c.sendAgain(e) {", forward},
		{"ingests that do not agree slow a log down", "edge/forward/core.go",
			"if wait := now.Add(c.t.Backoff(t.times, rnd)); wait.After(c.until) {", "if wait := now; wait.After(c.until) {", forward},
		{"health says that nothing is published", "edge/agent/room.go",
			"waits > limit {", "waits > limit && false {", []string{"-run", "Release", "./edge/agent"}},
		{"health says that an engine stopped telling", "edge/agent/room.go",
			"if f.Telling.QuietSince != 0 && !f.GaveUp {", "if false {", []string{"-run", "Release", "./edge/agent"}},
		{"a request promises only what is written down", "edge/forward/session.go",
			"h.Keeps = s.promised && ", "h.Keeps = ", forward},
		{"an answer echoes its request", "edge/wire/answer.go",
			"j.Request != sent.Request.String()", "false", []string{"./edge/wire", "./edge/forward"}},
		{"no more is published than is acknowledged", "edge/wire/published.go",
			"if a.Known && a.Published.Next > a.Acked {", "if a.Known && a.Published.Next > a.Acked+1<<40 {", []string{"./edge/wire"}},
		{"a ledger's tip in an answer is checked", "edge/wire/published.go",
			"if why := t.check(); why != \"\" {", "if why := t.check(); why == \"-\" {", []string{"./edge/wire"}},
		{"ingest takes blocks in order only", "engine/ingest/session.go",
			"case b.First != s.next:", "case b.First > s.next+1<<40:", ingest},
		{"ingest checks the chain", "engine/ingest/session.go",
			"if !unchecked && b.Prev != s.tail.Hash {", "if !unchecked && false {", ingest},
		{"a request ends at its first failed append", "engine/ingest/session.go",
			"Clock: s.head.Clock}); err != nil {\n\t\treturn err\n\t}\n\ts.tail", "Clock: s.head.Clock}); err != nil && s.h == nil {\n\t\treturn err\n\t}\n\ts.tail", ingest},
		{"what a gateway keeps is told with its block", "engine/landing/landing.go",
			"head[0], head[1] = landedKept, head[1]|landedKeeps", "head[0] = landedClocked", []string{"./engine/landing/..."}},
		{"C2: what is not durable is not answered as landed", "engine/landing/embedded/partition.go",
			"\t\tw.err = err\n\t\tclose(w.done)", "\t\tclose(w.done)", []string{"./engine/landing/..."}},
	}
}

func taskMutants() []mutant {
	task := []string{"./engine/task"}
	judge := append([]string{"-run", "Judge|Crashes"}, task...)
	return []mutant{
		{"a position stands on the block before it", "engine/landing/embedded/reader.go",
			"l.Hash() != from.Hash {", "l.Hash() == \"\" {", []string{"./engine/landing/embedded"}},
		{"a position of a topic stands on the record before it", "engine/landing/kafka/reader.go",
			"l.Hash() == from.Hash {", "l.Hash() != \"\" {", []string{"-run", "OnFake", "./engine/landing/kafka"}},
		{"a checkpoint is looked at before HEAD is moved", "engine/checkpoint/claim.go",
			"if err := c.check(ctx, &from); err != nil {", "if err := c.check(ctx, &from); errors.Is(err, stream.ErrFenced) {", []string{"-run", "TakeHead", "./engine/checkpoint"}},
		{"what moves while it is looked at is no damage", "engine/checkpoint/claim.go",
			"!bytes.Equal(now.data, from.data)", "now.data == nil", []string{"-run", "LookedAt", "./engine/checkpoint"}},
		{"a landing log that was cut is released by nobody's claim", "engine/checkpoint/claim.go",
			" && c.checked.From == nil {", " {", []string{"-run", "GoesBack", "./engine/checkpoint"}},
		{"what is held back is not released", "engine/checkpoint/commit.go",
			"release: next.Released(),", "release: next.Position,", []string{"-run", "IsHeld", "./engine/checkpoint"}},
		{"a lake begins with a whole landing log", "engine/task/check.go",
			"case found.Claim == \"\":", "case found.Epoch > 1<<40:", []string{"-run", "NobodyKnows", "./engine/task"}},
		{"a landing log that was cut is read again", "engine/server/supervise.go",
			"if errors.Is(err, landing.ErrCut) {", "if errors.Is(err, landing.ErrReadOnly) {", []string{"-run", "CutLanding", "./engine/server"}},
		{"a gap is a conflict", "engine/task/judge.go",
			"case h.First > st.Next:", "case h.First > st.Next+1<<40:", judge},
		{"a chain that breaks is a conflict", "engine/task/judge.go",
			"if st.Hash != (record.Hash{}) && h.Prev != st.Hash {", "if false {", judge},
		{"a duplicate is compared by hash", "engine/task/judge.go",
			"case b.First == h.First && b.Hash == hash:", "case b.First == h.First:", judge},
		{"an unknown log begins at offset 0", "engine/task/judge.go",
			"case h.First != 0:", "case h.First > 1<<40:", judge},
		{"a log belongs to one gateway", "engine/task/judge.go",
			"if st.Gateway != gateway {", "if st.Gateway != gateway && false {", judge},
		{"what was taken stands in the state", "engine/task/process.go",
			"\tp.logs.Put(b.Log, st)\n\tp.watermark(", "\tp.watermark(", judge},
		{"dedupe compares time", "engine/operator/dedupe.go",
			"if ok && first.EventTime-DedupeWindow <= t.EventTime && t.EventTime <= first.EventTime+DedupeWindow {", "if ok {", []string{"./engine/operator"}},
		{"a bad checksum gives no typed row", "engine/operator/decode.go",
			"case d.message.Flags&nmea.FlagBadChecksum != 0:", "case d.message.Flags&nmea.FlagBadChecksum != 0 && d.names == nil:", []string{"./engine/operator"}},
		{"a stopped task commits what it read", "engine/task/task.go",
			"	if l.writer == nil && !final {\n\t\treturn stopped, nil", "	if stopped || l.writer == nil && !final {\n\t\treturn stopped, nil", task},
	}
}

func commitMutants() []mutant {
	checkpoint, object := []string{"./engine/checkpoint", "./sinks/object"}, []string{"./sinks/object", "./engine/checkpoint"}
	return []mutant{
		{"C4: HEAD moves by compare-and-swap", "sinks/object/dir.go",
			"if have != old {", "if have != old && false {", object},
		{"C4: fsync of HEAD's directory", "sinks/object/dir.go",
			"if err := d.root.fsys.Rename(temp, path); err != nil {\n\t\treturn err\n\t}\n\treturn d.root.fsys.SyncDir(filepath.Dir(path))", "return d.root.fsys.Rename(temp, path)", object},
		{"C4: fsync of HEAD and of every object", "sinks/object/root.go",
			"\tif err == nil {\n\t\terr = f.Sync()\n\t}\n", "", object},
		{"a created object's name is durable", "sinks/object/dir.go",
			"if err := d.root.fsys.SyncDir(filepath.Dir(path)); err != nil {\n\t\treturn fmt.Errorf(\"create %s: %w\", name, err)\n\t}\n", "", object},
		{"HEAD is settled before it is acted on", "engine/checkpoint/head.go",
			"\tif settle {\n", "\tif settle && name == \"\" {\n", checkpoint},
		{"a lost answer is resolved by reading HEAD", "engine/checkpoint/settled.go",
			"case bytes.Equal(at.data, data):\n\t\t\tmoved = at.version\n\t\t\treturn nil", "case bytes.Equal(at.data, data) && r == nil:\n\t\t\tmoved = at.version\n\t\t\treturn nil", checkpoint},
		{"whoever lost HEAD is fenced", "engine/checkpoint/settled.go",
			"return fmt.Errorf(\"%w: %w\", stream.ErrFenced, err)", "moved = at.version\n\t\t\treturn nil", checkpoint},
		{"recovery publishes what HEAD's manifest names", "engine/checkpoint/claim.go",
			"if err := c.publish(ctx, b); err != nil {\n\t\t\treturn err\n\t\t}\n\t}\n\tif m :=", "_ = b\n\t}\n\tif m :=", checkpoint},
		{"a manifest names what is not yet published", "engine/checkpoint/commit.go",
			"Staged: staged, Unpublished: c.unpublished(),", "Staged: staged, Unpublished: c.unpublished()[:0],", checkpoint},
		{"collection asks whether HEAD is still this claim", "engine/checkpoint/collect.go",
			"if err := c.alive(ctx); err != nil {\n\t\t\tif err :=", "if err := error(nil); err != nil {\n\t\t\tif err :=", checkpoint},
		{"the landing log is released after publishing", "engine/checkpoint/publish.go",
			"	if err := c.publish(ctx, b); err != nil {\n\t\treturn err\n\t}\n\tc.cfg.OnPublished",
			"	if err := c.release(ctx, b.position); err != nil {\n\t\treturn err\n\t}\n\tif err := c.publish(ctx, b); err != nil {\n\t\treturn err\n\t}\n\tc.cfg.OnPublished", checkpoint},
	}
}

func ledgerMutants() []mutant {
	checkpoint := []string{"./engine/checkpoint"}
	return []mutant{
		{"HEAD vouches for its manifest", "engine/checkpoint/head.go",
			"if at.hash != head.SHA256 {", "if at.hash != head.SHA256 && false {", checkpoint},
		{"a manifest names the entry of its epoch", "engine/checkpoint/commit.go",
			"if next.Ledger, err = c.putEntry(ctx, epochEntry(&next, cut.Logs), from.manifest.Ledger); err != nil {",
			"if next.Ledger = from.manifest.Ledger; next.Ledger == nil {\n\t\tnext.Ledger, err = c.putEntry(ctx, epochEntry(&next, cut.Logs), from.manifest.Ledger)\n\t}\n\tif err != nil {", checkpoint},
		{"an entry holds the hash of the one before", "engine/checkpoint/ledger.go",
			"e.Number, e.Previous = tip.Number+1, tip.SHA256", "e.Number, e.Previous = tip.Number+1, hash(nil)", checkpoint},
		{"an entry has the logs that the epoch took", "engine/checkpoint/ledger.go",
			"	e.Logs = sortedLogs(logs)\n", "", checkpoint},
		{"entries of attempts that lost go", "engine/checkpoint/ledgernames.go",
			"if s.number > tip.Number {", "if s.number > tip.Number+1<<40 {", checkpoint},
		{"entries of the chain stay", "engine/checkpoint/ledgernames.go",
			"case holds[s.number] == s.name:", "case holds[s.number] == \"\":", checkpoint},
		{"an entry that nothing doubts is not touched", "engine/checkpoint/ledgernames.go",
			"if names.count[s.number] > 1 || names.folds[first] {", "if names.count[s.number] > 0 {\n\t\t\tlost = append(lost, s.name)", checkpoint},
		{"a fold is read back before its entries go", "engine/checkpoint/fold.go",
			"return names, c.compare(ctx, name, data)", "return names, nil", checkpoint},
		{"another object in the place of a fold stops the task", "engine/checkpoint/fold.go",
			"if errors.Is(err, errFoldDiffers) {\n\t\t\treturn err\n\t\t}\n", "", checkpoint},
		{"what is pending is adopted as the manifest has it", "engine/checkpoint/adopt.go",
			"if a.pending[[2]string{s.Sink, s.Target}] {", "if len(a.pending) < 0 {", checkpoint},
		{"a file that is adopted is hashed", "sinks/parquet/inventory.go",
			"f.SHA256 = hex.EncodeToString(h.Sum(nil))", "f.SHA256 = hex.EncodeToString(sha256.New().Sum(nil))", []string{"-run", "VersionBefore", "./cmd/internal/enginecli"}},
		{"files of later epochs are not adopted", "sinks/parquet/inventory.go",
			"!ok || epoch > upTo {", "!ok || epoch == 0 {", []string{"-run", "Inventory", "./sinks/parquet"}},
	}
}

func remakeMutants() []mutant {
	checkpoint, task := []string{"./engine/checkpoint"}, []string{"-run", "Idle|Damage|Unreadable", "./engine/task"}
	return []mutant{
		{"an epoch is read back before it is released", "engine/checkpoint/publish.go",
			"err := sink.Verify(ctx, []stream.Staged{one})", "err := ctx.Err()", checkpoint},
		{"damage is no answer to try again", "engine/checkpoint/settled.go",
			"stream.ErrContent, stream.ErrDamaged, ErrVersion,", "stream.ErrContent, ErrVersion,", checkpoint},
		{"trouble beside damage is tried again", "engine/checkpoint/publish.go",
			"passing != nil && !definite(passing) {", "passing != nil && definite(passing) {", checkpoint},
		{"the status says damage while the rest is read back", "engine/checkpoint/publish.go",
			"errors.Join(errors.Join(errs...), err))", "err)", checkpoint},
		{"a damaged output of a repair says so", "engine/checkpoint/remake.go",
			"errors.Is(err, ErrGone) && c.byRepairMade(ctx, at)", "errors.Is(err, ErrGone) && c == nil", checkpoint},
		{"what is made again has the hash of the manifest", "engine/checkpoint/remake.go",
			"have.SHA256 != want.SHA256 || have.Bytes != want.Bytes {", "have.Bytes < 0 {", checkpoint},
		{"an epoch is made again from the state before it", "engine/checkpoint/remake.go",
			"return hash(data) == at.Previous", "return len(data) > 0", checkpoint},
		{"an epoch is made again from its own beginning", "engine/checkpoint/remake.go",
			"From: before.Position, To: at.Position,", "From: stream.Position{}, To: at.Position,", checkpoint},
		{"what is staged again does not touch what the manifest names", "engine/checkpoint/remake.go",
			"sink.Begin(c.cfg.Task, c.cfg.NewClaim(), epoch)", "sink.Begin(c.cfg.Task, c.claim, epoch)", checkpoint},
		{"a damaged file that is visible is replaced", "engine/checkpoint/remake.go",
			"func() error { return k.Replace(ctx, mine[i], d.SHA256) }", "func() error { _ = k; return ctx.Err() }", checkpoint},
		{"a claim that is over replaces nothing", "engine/checkpoint/remake.go",
			"func() error { return c.alive(ctx) }", "func() error { return ctx.Err() }", checkpoint},
		{"an epoch that is made again ends like the first time", "engine/task/remake.go",
			"	p.end(r.Epoch, r.Final, &batch)\n", "	p.end(r.Epoch, false, &batch)\n", task},
		{"publishing that fails ends an idle task", "engine/task/task.go",
			"func() { cancel(errOver) }", "func() {}", task},
		{"an idle task looks at HEAD", "engine/checkpoint/claim.go",
			"	case bytes.Equal(now.data, c.at.data):\n", "	case bytes.Equal(now.data, c.at.data) || now.data != nil:\n", task},
		{"damage needs an operator", "engine/server/supervise.go",
			"stream.ErrContent, stream.ErrDamaged, landing.ErrPosition,", "stream.ErrContent, landing.ErrPosition,", []string{"-timeout", "20s", "-run", "Person", "./engine/server"}},
		{"what is committed and not visible turns health red", "engine/server/status.go",
			"case t.State == TaskRunning && t.PublishError != \"\":", "case t.State == TaskStopped && t.PublishError != \"\":", []string{"-run", "PartitionRed", "./engine/server"}},
		{"two machines under one name turn health red", "engine/server/status.go",
			"now.Sub(time.UnixMicro(int64(at))) < alternationMemory", "now.Sub(time.UnixMicro(int64(at))) < 0", []string{"-run", "TwoMachines", "./engine/server"}},
	}
}

func publishMutants() []mutant {
	object, parquet := []string{"./sinks/object"}, []string{"./sinks/parquet"}
	return []mutant{
		{"a staged file is synced", "sinks/object/lake.go",
			"if err := s.f.Sync(); err != nil {\n\t\treturn fmt.Errorf(\"sync %s: %w\", s.path, err)\n\t}\n", "", []string{"./sinks/object", "./sinks/parquet"}},
		{"C5: fsync of the table's directory", "sinks/object/lake.go",
			"if err := l.root.fsys.SyncDir(filepath.Dir(to)); err != nil {\n\t\treturn err\n\t}\n", "", []string{"./sinks/object", "./sinks/parquet"}},
		{"a target that is there is compared by hash", "sinks/object/lake.go",
			"return fmt.Errorf(\"%w: %s: %s\", ErrContent, to, target.Detail)", "return nil", object},
		{"a staged file is read back before the manifest names it", "sinks/parquet/verify.go",
			"n != f.Bytes || sum != f.SHA256 {", "(n != f.Bytes || sum != f.SHA256) && false {", parquet},
	}
}

func bucketMutants() []mutant {
	s3, parquet := []string{"./sinks/object/s3"}, []string{"-run", "Bucket", "./sinks/parquet"}
	return []mutant{
		{"C4 in a bucket: HEAD moves by If-Match", "sinks/object/s3/store.go",
			"\t\tunchanged.SetMatchETag(string(old))\n", "", s3},
		{"C4 in a bucket: the first HEAD is made by If-None-Match", "sinks/object/s3/store.go",
			"\t\tunchanged.SetMatchETagExcept(\"*\")\n", "", s3},
		{"an object of a bucket is made only where none is", "sinks/object/s3/store.go",
			"\tabsent.SetMatchETagExcept(\"*\")\n", "", s3},
		{"a conditional write that met another is made again", "sinks/object/s3/request.go",
			"if !is(err, conditionalConflict) ||", "if b != nil ||", s3},
		{"C5 in a bucket: an upload is completed only where its target is absent", "sinks/object/s3/lake.go",
			"\tabsent.SetMatchETagExcept(\"*\")\n", "", s3},
		{"C5 in a bucket: only what is seen is published, whatever the answer", "sinks/object/s3/lake.go",
			"\t\terr := seen(completed == nil)\n", "\t\terr := completed\n", s3},
		{"C5 in a bucket: a completion that a kill cut is finished", "sinks/object/s3/lake.go",
			"[]upload{u, u.interrupted(staged.Parts)}", "[]upload{u}", s3},
		{"what a cut completion left goes", "sinks/object/s3/lake.go",
			"errors.Join(l.abort(ctx, u), l.abort(ctx, u.interrupted(staged.Parts)))", "l.abort(ctx, u)", s3},
		{"a target in a bucket that is there is compared by hash", "sinks/object/s3/lake.go",
			"if have != staged.SHA256 {", "if have != staged.SHA256 && false {", s3},
		{"uploads of other tasks are not collected", "sinks/object/s3/lake.go",
			"if strings.HasPrefix(path.Base(target), task+\"-\") {", "if strings.HasPrefix(target, \"\") {", parquet},
		{"a rule that aborts uploads too soon is refused", "sinks/object/s3/rules.go",
			"*day < b.cfg.Outage {", "*day < b.cfg.Outage && false {", s3},
		{"a request's own time is not its caller's", "sinks/object/s3/request.go",
			"\treturn fmt.Errorf(\"%w (%s): %v\", ErrNoAnswer, b.Location, err)", "\treturn fmt.Errorf(\"%w\", err)", s3},
		{"a store that does not compare is refused at the start", "cmd/internal/enginecli/place.go",
			"\tif err == nil {\n\t\terr = object.SelfTest(ctx, store)\n\t}\n", "", []string{"-run", "WillNotDo", "./cmd/internal/enginecli"}},
	}
}

func topicMutants() []mutant {
	kafka, fast := []string{"./sinks/kafka"}, []string{"-skip", "TestSuite", "./sinks/kafka"}
	return []mutant{
		{"the marker is read before an epoch is written", "sinks/kafka/publish.go",
			"	last, err := s.readMarker(ctx, w, o)\n", "	var last *marker\n", kafka},
		{"earlier writers are fenced before the marker is read", "sinks/kafka/publish.go",
			"	w, err := s.fence(ctx, o)\n	if err != nil {\n		return err\n	}\n	defer w.close()\n	last, err := s.readMarker(ctx, w, o)\n",
			"	reader, err := kgo.NewClient(s.clientOptions()...)\n	if err != nil {\n		return err\n	}\n	defer reader.Close()\n	last, err := s.readMarker(ctx, &writer{client: reader}, o)\n	if err != nil {\n		return err\n	}\n	w, err := s.fence(ctx, o)\n	if err != nil {\n		return err\n	}\n	defer w.close()\n", kafka},
		{"the marker of an epoch is compared by hash", "sinks/kafka/marker.go",
			"r.SHA256 != want", "r.SHA256 == \"\"", kafka},
		{"a marker ahead that does not know an epoch stops it", "sinks/kafka/marker.go",
			"	return false, fmt.Errorf(\"%w: the marker of %s is at", "	if len(published) > 0 {\n		return true, nil\n	}\n	return false, fmt.Errorf(\"%w: the marker of %s is at", fast},
		{"a marker names as many epochs as may wait", "sinks/kafka/marker.go",
			"const recentEpochs = stream.MaxBacklog\n", "const recentEpochs = stream.MaxBacklog / 2\n", fast},
		{"a marker remembers what the one before it knew", "sinks/kafka/markerlog.go",
			"		m.remember(l.last)\n", "", fast},
		{"no more epochs wait than sinks remember", "engine/checkpoint/config.go",
			"if c.PublishBacklog > stream.MaxBacklog {", "if c.PublishBacklog > 2*stream.MaxBacklog {", []string{"-run", "NamesTheField", "./engine/checkpoint"}},
		{"a marker counts when its transaction was committed", "sinks/kafka/markerlog.go",
			"binary.BigEndian.Uint16(r.Key[2:]) != controlCommit", "binary.BigEndian.Uint16(r.Key[2:]) > 99", fast},
		{"markers are read to the high watermark", "sinks/kafka/markerlog.go",
			"	for l.next < end.Offset {\n", "	for l.next < end.Offset && l.next < 1 {\n", kafka},
		{"an epoch is committed when the broker has every row", "sinks/kafka/writer.go",
			"return errors.Join(w.client.Flush(ctx), w.failed())", "return w.client.Flush(ctx)", fast},
		{"the marker rides with the rows", "sinks/kafka/publish.go",
			"	w.produce(ctx, &kgo.Record{Topic: o.markers, Key: []byte(o.task), Value: value})\n", "	w.produce(ctx, &kgo.Record{Topic: o.markers, Key: []byte(o.task + \"-\"), Value: value})\n", fast},
		{"a staged object's hash is compared before it is published", "sinks/kafka/stage.go",
			"hex.EncodeToString(sum[:]) != f.SHA256", "len(sum) == 0", fast},
		{"a staged object is read back before the manifest names it", "sinks/kafka/stage.go",
			"	return f, s.verify(ctx, f, t)\n", "	return f, nil\n", fast},
		{"rows in topics that are compacted are refused", "sinks/kafka/topics.go",
			"	if policy := t.configs[\"cleanup.policy\"]; policy == \"compact\" ||", "	if policy := t.configs[\"cleanup.policy\"]; policy == \"\" ||", fast},
		{"markers that expire are refused", "sinks/kafka/topics.go",
			"if n, ok := t.number(name); ok && n >= 0 {\n			return t.refuse(name, forEver)", "if n, ok := t.number(name); ok && n >= 0 && t.partitions > 1 {\n			return t.refuse(name, forEver)", fast},
		{"what is in Kafka with other content is not tried again", "engine/checkpoint/settled.go",
			"stream.ErrFenced, stream.ErrContent, ", "stream.ErrFenced, ", []string{"./engine/checkpoint"}},
	}
}

func kafkaMutants() []mutant {
	log, ingest := []string{"-run", "Fake|Promise|OneAppend|Foreign", "./engine/landing/kafka"}, []string{"-run", "Simulation|OthersHavePassed", "./engine/ingest"}
	broker, server := []string{"-run", "Topic|Released", "./engine/landing/kafka"}, []string{"./engine/server"}
	return []mutant{
		{"an append waits for its promise", "engine/landing/kafka/producer.go",
			"if err := <-promise; err != nil {", "if err := error(nil); err != nil {", log},
		{"a producer whose promise was not kept is replaced", "engine/landing/kafka/producer.go",
			"\t\t\tl.producer = nil\n", "", log},
		{"a tail follows kept promises only", "engine/landing/kafka/producer.go",
			"\tif err == nil {\n\t\tl.landed(block, h)\n\t\treturn nil\n", "\tl.landed(block, h)\n\tif err == nil {\n\t\treturn nil\n", log},
		{"a gateway stays in its partition of the topic", "engine/landing/kafka/producer.go",
			"int32(landing.Partition(block.Gateway, l.cfg.Partitions))", "int32(landing.Partition(block.Gateway+\"x\", l.cfg.Partitions))", log},
		{"a position outside the topic is refused", "engine/landing/kafka/log.go",
			"if at.Offset < start || at.Offset > end {", "if at.Offset > end+1<<40 {", broker},
		{"a topic made again is another one", "engine/landing/kafka/log.go",
			"if id := idOf(d.ID); id != l.id {", "if id := idOf(d.ID); id == \"\" {", broker},
		{"a topic's settings are checked", "engine/landing/kafka/topic.go",
			"\tif len(problems) > 0 {", "\tif len(problems) > 99 {", broker},
		{"a shared tail may be passed", "engine/ingest/standing.go",
			"!(f.shared && f.landed.Next < f.offset)", "true", ingest},
		{"a lake is fed from one topic of a name", "engine/server/landing.go",
			"if was.ID != id {", "if was.ID == \"\" {", server},
		{"a partition is not run twice at a time", "engine/server/supervise.go",
			"\t\t\t<-before\n", "", server},
		{"a partition is another's only after it was given back", "engine/landing/kafka/group.go",
			"\t\tcfg.Revoked(partitions)\n", "\t\tgo cfg.Revoked(partitions)\n", []string{"-run", "Members", "./engine/landing/kafka"}},
		{"what could not be released is asked for again", "engine/landing/kafka/log.go",
			"\t\tl.releaseOwed()\n", "", []string{"-run", "AskedForAgain", "./engine/landing/kafka"}},
		{"a replay into a topic waits until it is published", "cmd/internal/enginecli/replaytopic.go",
			"start.Offset >= taken.Position.Offset {", "start.Offset >= 0 {", []string{"-run", "ReplayIntoATopicWaits", "./cmd/internal/enginecli"}},
		{"a content is replayed by one way", "cmd/internal/enginecli/replaynote.go",
			"if have.Landing != want.Landing {", "if have.Landing == \"x\" {", []string{"-run", "ReplayIntoATopic", "./cmd/internal/enginecli"}},
		{"a replay appends a block again that was not kept", "engine/landing/replay/land.go",
			"for err = to.Append(ctx, block); err != nil; err = to.Append(ctx, block) {", "if err = to.Append(ctx, block); err != nil {", []string{"./engine/landing/replay"}},
	}
}

func daemonMutants() []mutant {
	flood, certs := []string{"-run", "Flood|Pacing|IsPaced|HeldBack", "./engine/ingest"}, []string{"./edge/certs"}
	service, life := []string{"./cmd/internal/service"}, func(tests string) []string { return []string{"-run", tests, "./cmd/internal/lifetest"} }
	return []mutant{
		{"a gateway's bytes are paced", "engine/ingest/limits.go",
			"_ = g.limits.bytes.WaitN(context.WithoutCancel(ctx), bytes)", "_ = g.limits.bytes.AllowN(time.Now(), bytes)", flood},
		{"what decodes to nothing is paced", "engine/ingest/limits.go",
			"_ = b.g.limits.wire.WaitN(context.Background(), n)", "_ = b.g.limits.wire.AllowN(time.Now(), n)", flood},
		{"a gateway's requests are bounded", "engine/ingest/limits.go",
			"if !g.limits.requests.Allow() {", "if !g.limits.requests.Allow() && false {", flood},
		{"a refused request is held back", "engine/ingest/session.go",
			"s.h.hold(s.r.Context())", "", flood},
		{"a certificate is of its gateway", "edge/wire/identity.go",
			"leaf.Subject.CommonName == gateway", "leaf.Subject.CommonName != \"\"", []string{"-run", "Certificate", "./engine/ingest"}},
		{"a certificate that is not valid yet is refused", "edge/certs/verify.go",
			"if now.Before(leaf.NotBefore) {", "if now.IsZero() {", certs},
		{"a certificate ends when it says", "edge/certs/verify.go",
			"CurrentTime: now, ", "CurrentTime: leaf.NotAfter, ", certs},
		{"a revoked certificate is refused", "edge/certs/verify.go",
			"if e.SerialNumber.Cmp(c.SerialNumber) == 0 {", "if e.SerialNumber.Cmp(c.SerialNumber) == 2 {", certs},
		{"a server proves its name", "edge/certs/verify.go",
			"return k.verify(s.PeerCertificates, x509.ExtKeyUsageServerAuth, name)", "return k.verify(s.PeerCertificates, x509.ExtKeyUsageServerAuth, \"\")", certs},
		{"a loop that hangs starves the watchdog", "cmd/internal/service/notify.go",
			"\t\treturn\n\t}\n\tr.Notify", "\t}\n\tr.Notify", service},
		{"a gateway that stops delivers what it has captured", "edge/agent/agent.go",
			"	for a.pending() > 0 {", "	for a.pending() > 1<<60 {", life("AStopLeaves")},
		{"a gateway that stops does not linger", "edge/agent/agent.go",
			"	a.session.Hurry()\n", "", life("AStopLeaves")},
		{"a reload takes up the certificates of brokers and of the store", "engine/server/certs.go",
			"all = append(all, l.Certs.Refresh())", "_ = l", []string{"-run", "AreTakenUp|IsTakenUp", "./cmd/internal/enginecli"}},
		{"a configuration that is refused leaves the old one running", "cmd/internal/service/service.go",
			"		r.refused(old.daemon, err)\n\t\treturn old, nil", "		return nil, err", service},
	}
}
