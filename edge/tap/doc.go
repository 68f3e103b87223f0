// Package tap shows what passes, to people who look: the records of a block as
// JSON objects, and a Feed that gives them to whoever listens. The daemons of
// both ends use it.
//
// In:  blocks and lines at some stage of their way, offered by whoever has them.
// Out: HTTP, a JSON object a line, as long as the client listens.
//
// Invariants
//
//  1. Looking changes nothing: nobody who offers ever waits for who listens. A
//     listener that does not keep up misses objects and is told how many.
//  2. While nobody listens, offering costs one atomic load.
//  3. The bytes of a record can be had as they are: Raw where they are UTF-8, and
//     RawBase64 too where they are not.
//
// A Feed may be used from any goroutine; the rest is pure.
package tap
