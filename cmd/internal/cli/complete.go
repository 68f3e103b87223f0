package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Choices says which values a flag takes, for completion in a shell.
func Choices(c *cobra.Command, flag string, values ...string) {
	fixed := cobra.FixedCompletions(toCompletions(values), cobra.ShellCompDirectiveNoFileComp)
	if err := c.RegisterFlagCompletionFunc(flag, fixed); err != nil {
		panic(err) // a mistake of the caller: there is no such flag
	}
}

func toCompletions(values []string) []cobra.Completion {
	var all []cobra.Completion
	for _, v := range values {
		all = append(all, cobra.Completion(v))
	}
	return all
}

// completions says of every verb below c what a shell completes where Choices did
// not: files and directories where the usage names one, and else nothing, for
// files of the working directory are never a number or a name.
func completions(c *cobra.Command) {
	for _, verb := range c.Commands() {
		completions(verb)
	}
	if c.ValidArgsFunction == nil && !c.HasSubCommands() && !strings.Contains(c.Use, "FILE") {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, flags := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) { completeFlag(c, f) })
	}
}

func completeFlag(c *cobra.Command, f *pflag.Flag) {
	if _, ok := c.GetFlagCompletionFunc(f.Name); ok || f.NoOptDefVal != "" {
		return
	}
	var err error
	switch kind, _ := pflag.UnquoteUsage(f); {
	case f.Name == "config":
		err = c.MarkFlagFilename(f.Name, "yaml", "yml")
	case kind == "DIR":
		err = c.RegisterFlagCompletionFunc(f.Name, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		})
	case kind == "FILE", kind == "PROGRAM", kind == "WHERE": // what the shell does by itself
	default:
		err = c.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
	}
	if err != nil {
		panic(err) // the flag is there
	}
}
