// Package move knows from which landing log a lake is fed, and moves the lake to
// another one.
//
// In:  the store of a lake's checkpoints; the landing log that an engine was
// started with; for a move, the old landing log, where it can be read.
// Out: a refusal of any other landing log than the lake's (Check, Bind), also while an
// engine runs (Watch); tasks of the new landing log that go on where those of the old
// one ended (Replace).
//
// The store holds two objects of this package, JSON of format 1 (_lake/landing of
// format 2 while a move is under way that was led elsewhere):
//
//	_lake/landing   which landing log feeds the lake, since which move
//	_lake/moving    the newest move: from where and where to. It is under way while its
//	                generation is above that of _lake/landing, and stays
//
// Invariants
//
//  1. A lake has one landing log at a time: the one in _lake/landing. It is written
//     by create-if-absent at the first start and changes by compare-and-swap, as the
//     last step of a move.
//  2. While a move is under way, no engine starts that knows the lake: one with tasks,
//     and an ingest that can read the lake's store. One that runs lands nothing more
//     once it has looked (Watch).
//  3. What is known of a log, and what is held for a gateway, is handed over as the
//     old task's last manifest has it, after that manifest has ended the task: no
//     record is taken twice, and none of what is sent again is missing.
//  4. Every step is repeated by the same call; nothing that a move writes changes
//     what is in the lake already.
//  5. A move leads on, never back. Where it is led elsewhere, the landing log that it
//     led to before is given up: no lake is bound to that by this move any more, and
//     only then what was made there is removed. Nothing is removed of a task that was
//     ever claimed, or of the landing log that feeds the lake.
package move
