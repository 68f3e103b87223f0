package main

// strayMutants are in what keeps every file of a log directory inside its quota.
func strayMutants() []mutant {
	const strays = "edge/seglog/strays.go"
	room := []string{"-run", "NoFileOutside|Shedding|QuarantineIs", "./edge/seglog"}
	return []mutant{
		{"a file that cannot be removed counts", strays,
			"	s.strays = append(s.strays, stray{name, size})\n", "", room},
		{"a file that could not be removed is tried again", "edge/seglog/release.go",
			"	s.removeStrays()\n", "", room},
		{"a segment that cannot be renamed is not forgotten", "edge/seglog/release.go",
			"errors.Join(err, s.discard(g.name, g.size), s.discard(spareName, g.size))", "err", room},
		{"a spare that cannot be opened is not forgotten", "edge/seglog/append.go",
			"errors.Join(err, s.discard(p.name, p.size))", "err", room},
		{"a spare that was made in part is not forgotten", "edge/seglog/spare.go",
			"	_ = s.discardUnknown(p.name)\n", "	_ = s.fs.Remove(s.path(p.name))\n", room},
		{"nothing is shed where that makes no room", "edge/seglog/spare.go",
			"s.cfg.Policy != ShedOldest || s.stuck() {", "s.cfg.Policy != ShedOldest {", room},
		{"quarantine counts against the quota", strays,
			"		quarantined += f.size\n", "		quarantined = 0 * f.size\n", room},
		{"quarantine is counted after a restart", "edge/seglog/recover.go",
			"		s.recoverQuarantine()\n", "", room},
		{"quarantine gives way to records", strays,
			"|| s.dropQuarantined()", "", room},
		{"a copy in quarantine takes no room from records", "edge/seglog/quarantine.go",
			"	if err := s.room(int64(len(p))); err != nil {", "	if err := s.room(0); err != nil {", room},
	}
}
