package main

// memoryMutants are of the bound of memory that a daemon states, and of what keeps to it.
func memoryMutants() []mutant {
	bound := []string{"-run", "Bound|Group|Runtime|Taken", "./edge/memory"}
	bodies := []string{"-run", "Body|Bodies|Remembered|LaterFrame|TooMany", "./engine/ingest"}
	windows := []string{"-run", "ShareTheWindows", "./engine/operator"}
	pieces := []string{"-timeout", "120s", "-run", "InPieces", "./engine/task"}
	return []mutant{
		{"the configuration's memory goes before the group's", "edge/memory/bound.go", "	if w.Own > 0 {", "	if w.Own < 0 {", bound},
		{"the environment's memory goes before all", "edge/memory/bound.go", "	if w.Environment > 0 {", "	if w.Environment < 0 {", bound},
		{"a group bounds memory", "edge/memory/bound.go", "w.Group > 0 && most < b.Bytes", "false", bound},
		{"the runtime is limited below the bound", "edge/memory/bound.go",
			"debug.SetMemoryLimit(runtimeLimit(b.Bytes))", "debug.SetMemoryLimit(b.Bytes)", bound},
		{"the least memory of the groups above counts", "edge/memory/group.go",
			"n < unbounded && (least == 0 || n < least)", "n < unbounded && least == 0", bound},
		{"groups of version 1 are read", "edge/memory/group.go", `case has(parts[1], "memory"):`, "case false:", bound},
		{"no bound of version 1 is none", "edge/memory/group.go", "n < unbounded && ", "", bound},
		{"a gateway's memory below its sum is refused", "edge/agent/config.go",
			"int64(c.Memory) >= memory.Sum(items)", "int64(c.Memory) >= 0", []string{"-run", "MemoryIs", "./edge/agent"}},
		{"an engine's memory below its sum is refused", "engine/server/config.go",
			"int64(c.Memory) >= memory.Sum(items)", "int64(c.Memory) >= 0", []string{"-run", "MemoryIs", "./engine/server"}},
		{"partitions add to an engine's memory", "engine/server/memory.go",
			"int64(partitions)*operator.StateMemory", "operator.StateMemory", []string{"-run", "MemoryIs", "./engine/server"}},
		{"a source of messages adds to a gateway's memory", "edge/agent/memory.go",
			"	case s.MQTT != nil:", "	case s.MQTT == nil && false:", []string{"-run", "MemoryIs", "./edge/agent"}},
		{"bodies share their memory", "engine/ingest/bodies.go", "if b.used+bytes <= b.max {", "if b.used+bytes <= 1<<40 {", bodies},
		{"who holds most gives way", "engine/ingest/bodies.go",
			"return w, w.client > b.clients[s.client]+bytes", "return w, false", bodies},
		{"who holds as little does not give way", "engine/ingest/bodies.go",
			"return w, w.client > b.clients[s.client]+bytes", "return w, true", bodies},
		{"a body that stands still gives its memory back", "engine/ingest/bodies.go", "; d >= stoodStill {", "; d >= 1<<60 {", bodies},
		{"what a body held is given back", "engine/ingest/session.go",
			"s.h.bodies.give(s, d.Taken()-landed)", "s.h.bodies.give(s, 0*(d.Taken()-landed))", bodies},
		{"a log of which the lake has nothing is new", "engine/ingest/session.go",
			"f.published.Next == 0 && !f.own() && !s.gw.hasOpened(f.log)", "!s.known", []string{"-run", "NewLogs", "./engine/ingest"}},
		{"a block of too many records is refused", "engine/ingest/session.go", "block.Count > record.MaxRecords", "block.Count > 1<<30", bodies},
		{"a stream has the memory that its first frame asks for", "edge/wire/body.go",
			"	d.window = max(honestWindow, min(window, maxWindowBytes))", "	d.window = max(honestWindow, min(0, window))", bodies},
		{"a later frame that asks for more is no bomb", "edge/wire/body.go",
			"errors.Is(err, zstd.ErrWindowSizeExceeded) && d.window < maxWindowBytes", "false", bodies},
		{"what is remembered of gateways is bounded together", "engine/ingest/places.go",
			"if h.remembered <= keptEntries {", "if h.remembered <= 1<<40 {", bodies},
		{"shares of windows sum up to a bound", "engine/operator/window.go", "	return own <= min(share, least)", "	return own <= share", windows},
		{"each gateway has its least windows", "engine/operator/window.go", "	return own <= min(share, least)", "	return false", windows},
		{"records that are gone hold no block", "engine/table/table.go",
			"		b.Records[i].Raw = nil\n", "		_ = b.Records[i].Raw\n", []string{"-run", "EmptyBatch", "./engine/table"}},
		{"readings that are gone hold no texts", "engine/table/table.go", "	clear(b.Readings)\n", "", []string{"-run", "EmptyBatch", "./engine/table"}},
		{"rows of a block are made in pieces", "engine/task/process.go", "p.spill != nil && out.Rows() >= spillRows", "false", pieces},
		{"the lane is left while a piece is staged", "engine/task/task.go",
			"			l.cfg.Lane.mu.RUnlock()\n			defer l.cfg.Lane.mu.RLock()\n", "", pieces},
	}
}
