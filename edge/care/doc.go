// Package care keeps a message of which the gateway dies from ending it again and
// again: memory that runs out, a fault or a decoder that never ends cannot be caught, and
// what was not acknowledged comes again after each start.
//
// In:  each message or line before it is read by a decoder, and after it.
// Out: a small note of what is in hand; at the next start, which message is to be refused.
//
// Invariants
//
//  1. A process that follows one that ended by itself, or follows another boot of the
//     machine, takes no care: a message costs it one look at a flag.
//  2. With care, one message is in hand at a time, of all sources, and the note says
//     which. It is written and not synced: the page outlives the process, and only a power
//     loss, after which nothing is blamed, loses it.
//  3. A message is refused permanently after maxDeaths processes died one after the other
//     with it in hand. An address (a topic, a device, a node) of which so many processes
//     died, each of another message and none having read one to its end, is refused for
//     refusedFor, or until the next start.
//  4. A process that is killed while nothing is in hand ends every suspicion, and so does
//     a suspect that is read to its end. A suspect is read after a random part of
//     suspectWait in which it is not in hand: whoever kills without regard to it strikes
//     then.
//
// A Care may be used from many goroutines; a Guard too.
package care
