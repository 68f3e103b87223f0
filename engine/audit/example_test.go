package audit_test

import (
	"context"
	"fmt"
	"os"

	"landfall/engine/audit"
)

// A directory in which nothing is does not pass for a lake that is exact: nothing
// says what has to be there.
func ExampleRun() {
	lake, err := os.MkdirTemp("", "lake")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(lake) }()
	result, err := audit.Run(context.Background(), audit.Config{Lake: lake, Level: audit.LevelOffsets})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("exact:", result.Exact, "at level", result.Level)
	for _, f := range result.Findings {
		fmt.Printf("%s: %s\n", f.Kind, f.Detail)
	}
	// Output:
	// exact: false at level offsets
	// empty: no captured offset is published here: there is nothing to prove
	// no_anchor: there is no checkpoint: nothing says which logs and files have to be here
}
