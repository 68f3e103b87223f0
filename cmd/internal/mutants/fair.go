package main

// fairMutants are the bounds that keep one client, sender or gateway from taking
// what is the others', and who may read the local pages.
func fairMutants() []mutant {
	page := []string{"-run", "Host|Taps|Closed", "./edge/page"}
	return []mutant{
		{"a page is not answered under a stranger's name", "edge/page/page.go",
			"Handler: c.Access.hosts(mux)", "Handler: mux", page},
		{"a host is compared whole", "edge/page/access.go",
			`host == "localhost"`, `strings.HasPrefix(host, "localhost")`, page},
		{"taps are bounded", "edge/page/access.go",
			"if a.taps.Add(1) > MaxTaps {", "if a.taps.Add(1) > MaxTaps+1<<40 {", page},
	}
}
