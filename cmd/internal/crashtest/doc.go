// Package crashtest is tests only: it kills the real daemons, built with
// -tags failpoint, at every step between C1 and C5 and at random moments, and
// then has DuckDB compare what simulated senders sent with what the lake holds.
//
// In:  decoders/aissim's lines, each one unique, sent through a growing file, the
// acknowledged protocol, TCP in both directions, UDP and a pty.
// Out: a verdict, and the histogram of the steps at which a process died.
//
// Invariants
//
//  1. The judge shares no code with the engine: senders write down what they
//     sent, and SQL compares it with the Parquet files. `audit` runs beside it
//     and has to agree.
//  2. A line of a sender that can resend is in the lake exactly once. Any other
//     line is there at most once, and missing only if it was under way in an
//     interval that a log's opening declares.
//  3. A process ends only by a kill of the test's or by SIGTERM with exit code 0;
//     any other end fails the test.
//  4. A failpoint that is never reached fails the test.
//
// LANDFALL_SEED repeats a run's traffic and plan of kills, LANDFALL_SOAK=1 makes
// ten times as many, LANDFALL_KEEP names a folder that is left behind. The
// tests need the build tag failpoint and Linux.
package crashtest
