// Package failpoint lets a test kill a real process, or hang it, at a named step.
//
// Commit paths call Hit at each step between C1 and C5. In a normal build Hit
// is an empty function; built with -tags failpoint, a process whose
// environment names a step kills itself there with SIGKILL, or hangs. Names
// lists every step, so that a test can prove that it reached them all.
package failpoint

// Names lists the steps, in data's way. A step not listed here is a bug that
// archtest finds.
func Names() []string {
	return []string{
		"c1.before-write", "c1.after-write", "c1.after-sync",
		"segment.before-seal", "segment.after-create",
		"care.before-refusal", "care.after-refusal", "care.in-hand",
		"forward.before-ack", "forward.after-ack",
		"c2.before-append", "c2.after-append", "c2.before-answer",
		"c3.before-release", "c3.after-release",
		"claim.before-swap", "claim.after-swap",
		"c4.before-seal", "c4.after-seal", "c4.after-snapshot", "c4.after-entry", "c4.after-manifest", "c4.before-swap", "c4.after-swap",
		"c5.before-publish", "c5.after-rename", "c5.before-verify", "c5.after-publish",
		"remake.after-seal", "remake.before-replace",
		"attempt.after-note", "poison.before-decision", "poison.after-decision",
		"release.before", "release.after", "collect.before-delete",
		"ledger.after-fold",
		"move.after-drain", "move.after-intent", "move.after-mark", "move.after-leave",
		"arrive.after-state", "arrive.after-entry", "arrive.before-head", "arrive.after-head",
		"move.before-bind", "move.after-bind",
		"repair.before-put-back", "repair.after-aside", "repair.after-stage", "repair.after-state", "repair.after-entry", "repair.before-swap", "repair.after-swap", "repair.after-publish",
		"rebuild.after-first-entry", "rebuild.after-entries",
	}
}
