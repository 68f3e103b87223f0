// Package goduckdb is tests only, in a module of its own: it opens a lake with
// DuckDB through Go, the way a Go program downstream would, and counts what is
// in it.
//
// In:  a lake that landfall-engine replay makes of simulated traffic.
// Out: a verdict: DuckDB and the audit, which share no code, count the same.
package goduckdb
