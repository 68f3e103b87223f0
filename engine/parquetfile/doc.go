// Package parquetfile reads Parquet files that nobody vouches for: whatever lies
// in the folder of a table, damaged, changed or written by somebody else.
//
// In:  the bytes of a file, and its length.
// Out: its columns, value by value, one page of each in memory at a time; or an
// error that says what is wrong with it.
//
// Invariants
//
//  1. No length from the file is believed. The footer lies in the file, each
//     column chunk before the footer, each page in its chunk; lists and strings
//     of the footer and of page headers have the bytes that are there; values
//     have the bytes of their page. A page may be MaxPageBytes long at most and
//     no longer than the chunk's own uncompressed size, a footer
//     MaxFooterBytes.
//  2. A page whose header has a CRC is compared with it before it is
//     decompressed. Every page of a file that Landfall wrote is, with or
//     without one: flipping the bit that announces it hides nothing.
//  3. Nothing panics and nothing is taken for a value that was not decoded from
//     bytes that are there. A file that ends early is damaged, one that has
//     more values or bytes than its footer says is too.
//  4. It shares no code with what writes Landfall's files (sinks/parquet,
//     parquet-go), only the published format: github.com/apache/parquet-format.
//
// It reads flat schemas, data pages of versions 1 and 2, the encodings PLAIN,
// RLE, RLE_DICTIONARY, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY and
// DELTA_BYTE_ARRAY, and pages stored as they are or in SNAPPY, GZIP or ZSTD:
// what Landfall, pyarrow, DuckDB and polars write by default. Anything else is
// ErrUnsupported. Page and column indexes, bloom filters and statistics are not
// read.
//
// A File may be used from many goroutines, a Column from one.
package parquetfile
