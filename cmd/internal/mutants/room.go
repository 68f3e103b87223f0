package main

// roomMutants are in what a gateway says of its room, what it keeps beside records, and
// what an operator is told to do about it.
func roomMutants() []mutant {
	return []mutant{
		{"an address that another program has is no mistake", "edge/config/check.go",
			"errors.Is(err, syscall.EADDRINUSE) ||", "", []string{"-run", "TestListening", "./edge/config"}},
		{"an address that is busy stays so with its line", "edge/config/load.go",
			", Busy: fe.Busy}", "}", []string{"-run", "TestListening", "./edge/config"}},
		{"flags that exclude each other are a matter of usage", "cmd/internal/cli/cli.go",
			`"if any flags in the group [", `, "", []string{"-run", "TestRunPrints", "./cmd/internal/cli"}},
		{"what is not free comes before what is wrong", "cmd/internal/cli/cli.go",
			"case errors.Is(err, config.ErrBusy), errors.Is(err, durable.ErrLocked):", "case errors.Is(err, durable.ErrLocked):", []string{"-run", "TestCode", "./cmd/internal/cli"}},
	}
}
