package main

// stateMutants are of what bounds the keyed state of a task, and of whose it is.
func stateMutants() []mutant {
	expiry := []string{"-run", "Forget|Forgotten|Tidied|WithoutAWatermark|BoundsOfState", "./engine/operator"}
	windows := []string{"-run", "WindowsOfATask", "./engine/operator"}
	old := []string{"-run", "OlderVersionKnows", "./engine/task"}
	return []mutant{
		{"a gateway's keys of state are bounded", "engine/operator/expiry.go",
			"	for w.held > e.bound.gateway {", "	for w.held < 0 {", expiry},
		{"a task's keys of state are bounded", "engine/operator/expiry.go",
			"	for e.all > e.bound.all {", "	for e.all < 0 {", expiry},
		{"who has most forgets", "engine/operator/expiry.go",
			"w.held > of.held ||", "w.held < of.held ||", expiry},
		{"what was seen again stays", "engine/operator/expiry.go",
			"ok && int64(at)/expiryStep == b {\n			e.table.forget(k)", "ok {\n			e.table.forget(k)", expiry},
		{"the oldest is forgotten first", "engine/operator/expiry.go",
			"return h[i] < h[j]", "return h[i] > h[j]", expiry},
		{"an index is tidied", "engine/operator/expiry.go",
			"	if w.n > 2*w.held+1024 {", "	if w.n < 0 {", expiry},
		{"what is forgotten early is told", "engine/operator/expiry.go",
			"		e.over(gateway, n)\n", "", expiry},
		{"the dedupe is bounded", "engine/operator/dedupe.go",
			"bound{MaxReceptions, MaxAllReceptions}", "bound{1 << 30, 1 << 30}", expiry},
		{"what is known of halves is bounded", "engine/operator/static.go",
			"bound{MaxShips, MaxAllShips}", "bound{1 << 30, 1 << 30}", expiry},
		{"the windows of a task are bounded", "engine/operator/window.go",
			"(w.n < MaxAllWindows || has", "(w.n >= 0 || has", windows},
		{"a share of windows is every gateway's", "engine/operator/window.go",
			"has < MaxAllWindows/(others+1)", "has < 0", windows},
		{"windows that close make room for all", "engine/operator/window.go",
			"	w.n -= len(keys)\n", "", windows},
		{"state of an older version gets names", "engine/operator/names.go",
			"			t.Put(k, v)\n", "", old},
		{"what is handed over has a name", "engine/operator/dedupe.go",
			"names.of(k.Gateway); known {", "names.of(k.Gateway); !known {", old},
		{"an authority is read under its lock", "cmd/internal/ca/ca.go",
			"	lock, err := fsys.Lock(filepath.Join(dir, \"lock\"))\n	if err != nil {\n		return nil, err\n	}\n	a := &Authority{fs: fsys, dir: dir, now: now, lock: lock}\n	err = a.read()\n",
			"	a := &Authority{fs: fsys, dir: dir, now: now}\n	err := a.read()\n	lock, e := fsys.Lock(filepath.Join(dir, \"lock\"))\n	if e != nil {\n		return nil, e\n	}\n	a.lock = lock\n",
			[]string{"-run", "TwoAtOnce|OneAuthority", "./cmd/internal/ca", "./cmd/landfall"}},
		{"the bytes of state are known from the claim on", "engine/task/task.go",
			"Checkpoint: l.committer.Stats(),", "Checkpoint: checkpoint.Stats{},", []string{"-run", "BytesOfState", "./engine/task"}},
		{"of two names with one number neither is believed", "engine/operator/names.go",
			"			name = \"\"\n", "", []string{"-run", "OneNumber", "./engine/operator"}},
	}
}
