// Package table is the lake's tables as Go types: one row struct a table, and
// Batch, the rows that a run of records gave.
//
// In:  engine/task fills a Batch, record by record, in landing order, and at the
// end of an epoch its rows of Log.
// Out: sinks read it; sinks/parquet turns the structs into columns.
//
// Invariants
//
//  1. (Gateway, Log, Offset, Row) is unique within a table over all epochs, but
//     for two: in Conflict the position in the landing log is unique, in Log
//     (Gateway, Log, Epoch) within one task.
//  2. A record gives one Record row and Rows typed rows; each typed row
//     carries the same Rows, and Row counts them from 0. A row in Late is a
//     copy and counts in neither.
//  3. A value that is not available is an Opt that is not Valid, record.NoTime, or
//     what its field says: NULL.
//
// No behaviour but resetting. A Batch belongs to one goroutine at a time.
package table

import (
	"landfall/decoders/ais"
	"landfall/decoders/sensor"
	"landfall/edge/record"
)

// Name is a table's name, which is also its folder in the lake.
type Name string

// The tables. The eight typed ones are counted in a record's Rows.
const (
	Record         Name = "record"
	AISPosition    Name = "ais_position"
	AISStatic      Name = "ais_static"
	AISBaseStation Name = "ais_base_station"
	AISAtoN        Name = "ais_aton"
	AISBinary      Name = "ais_binary"
	AISSafety      Name = "ais_safety"
	AISOther       Name = "ais_other"
	SensorReading  Name = "sensor_reading"
	Window         Name = "window"
	Late           Name = "late"
	Loss           Name = "loss"
	Conflict       Name = "conflict"
	Log            Name = "log"
)

// SchemaVersion is the version of the tables and their columns. It stands in
// every manifest, in every entry of the ledger and in every file's footer; a
// checkpoint of a newer one is refused.
//
//	2  more columns in the AIS tables
//	3  the table sensor_reading
//	4  the tables window and late
//	5  the table log, the column digest of loss
const SchemaVersion = 5

// Names lists the tables in the order in which they are staged and published:
// typed rows first, record and the exceptions last.
func Names() []Name {
	return []Name{AISPosition, AISStatic, AISBaseStation, AISAtoN, AISBinary, AISSafety, AISOther, SensorReading, Window, Late, Loss, Conflict, Log, Record}
}

// TypedNames lists the tables whose rows count in a record's Rows.
func TypedNames() []Name {
	return []Name{AISPosition, AISStatic, AISBaseStation, AISAtoN, AISBinary, AISSafety, AISOther, SensorReading}
}

// Lineage says where a row comes from: columns _gateway, _log, _offset, _row,
// _rows.
type Lineage struct {
	Gateway string
	Log     string // record.LogID.String(), one shared string a log
	Offset  record.Offset
	Row     int32 // 0 … Rows-1 among the record's typed rows
	Rows    int32 // typed rows the record gave
}

// Times are the times of a row and what vouches for them.
type Times struct {
	EventTime   record.Micros // record.NoTime: NULL
	TimeSource  record.TimeSource
	TimeQuality record.TimeQuality
	ReceivedAt  record.Micros
}

// Reception says how an AIS message was heard: columns channel, talker,
// source, station, own_ship, is_duplicate, dup_log, dup_offset, is_late.
type Reception struct {
	Channel byte   // 'A', 'B', …; 0: NULL
	Talker  string // two letters
	Source  string
	Station string // TAG s:; empty: NULL
	OwnShip bool   // VDO
	// IsDuplicate says that the gateway had brought this message before, from
	// whichever source; false too where that cannot be told: without a time, or
	// beyond the horizon of the dedupe.
	IsDuplicate bool
	DupLog      string // log and offset of the first reception; empty: NULL
	DupOffset   record.Offset
	IsLate      bool
}

// RecordRow is a row of record: every captured offset exactly once.
type RecordRow struct {
	Lineage // Row 0; Rows: the typed rows it gave
	Times
	LandedAt     record.Micros
	Kind         record.Kind
	Source       string
	Flags        record.Flags
	BootID       string // 32 hexadecimal digits; empty: NULL
	Monotonic    int64  // microseconds since that boot
	Raw          []byte // as received, without line ends; aliases the landed block
	RejectReason string // empty: NULL
}

// PositionRow is a row of ais_position: types 1, 2, 3, 9, 18, 19, 27.
type PositionRow struct {
	Lineage
	Times
	Reception
	ais.Position
}

// StaticRow is a row of ais_static: types 5, 19 and each half of 24.
type StaticRow struct {
	Lineage
	Times
	Reception
	ais.Static
}

// BaseStationRow is a row of ais_base_station: types 4, 11.
type BaseStationRow struct {
	Lineage
	Times
	Reception
	ais.BaseStation
}

// AtoNRow is a row of ais_aton: type 21.
type AtoNRow struct {
	Lineage
	Times
	Reception
	ais.AtoN
}

// BinaryRow is a row of ais_binary: types 6, 8, 25, 26.
type BinaryRow struct {
	Lineage
	Times
	Reception
	ais.Binary
}

// SafetyRow is a row of ais_safety: types 12, 14.
type SafetyRow struct {
	Lineage
	Times
	Reception
	ais.Safety
}

// OtherRow is a row of ais_other: every other type.
type OtherRow struct {
	Lineage
	Times
	Reception
	ais.Other
}

// ReadingRow is a row of sensor_reading: one value of one metric of one sensor.
type ReadingRow struct {
	Lineage
	Times        // the reading's own time where it has one, else its record's
	Source       string
	Sensor       string
	Metric       string
	Value        ais.Opt[float64] // finite
	ValueText    ais.Opt[string]
	Unit         string // empty: NULL
	Quality      sensor.Quality
	IsHistorical bool
	IsLate       bool
}

// WindowRow is a row of window: the readings of one series in one window of
// event time, which has closed. Log, Offset and Row are those of Last.
type WindowRow struct {
	Gateway              string
	Log                  string
	Offset               record.Offset
	Row                  int32
	Source               string
	Sensor               string
	Metric               string
	Unit                 string // empty: NULL
	WindowStart          record.Micros
	WindowEnd            record.Micros // the first time after the window
	Count                uint64
	Min, Max, Mean, Last float64
	LastAt               record.Micros
}

// LateRow is a row of late: a copy of a reading whose window had closed.
type LateRow struct {
	ReadingRow
	Watermark   record.Micros // the gateway's, when it came
	WindowStart record.Micros
}

// LossRow is a row of loss: the offsets [Offset, Offset+Count) of a log will
// never come.
type LossRow struct {
	Gateway  string
	Log      string
	Offset   record.Offset
	Count    uint64
	Reason   string // shed, corrupt, missing
	LandedAt record.Micros
	// Digest is that of the lost range: what the log's own has and the rows of
	// record lack. Not Valid: the gateway did not know it.
	Digest ais.Opt[record.Digest]
}

// ConflictRow is a row of conflict: a block that contradicts what was taken
// before under the same offsets, kept raw.
type ConflictRow struct {
	Gateway  string
	Log      string
	Offset   record.Offset // first offset of the block
	Count    uint64
	Reason   string // hash, chain, gap, unknown_log, gateway, after_loss, corrupt, ingest, foreign_log, poison
	Block    []byte
	LandedAt record.Micros
	// LandingLog and LandingOffset are the position after the block in the
	// landing log, which makes the row unique.
	LandingLog    string
	LandingOffset int64
}

// LogRow is a row of log: how far an epoch took one log. A later row of the same
// log counts instead of an earlier one.
type LogRow struct {
	Gateway     string
	Log         string
	NextOffset  record.Offset // every offset below is in record, or in a range of loss
	Previous    string        // the log before this one; empty: NULL, the gateway's first
	PreviousEnd record.Offset // where it ended
	OpenedAt    record.Micros // the gateway's clock when the log was opened; record.NoTime: NULL
	// Digest is that of the records below NextOffset; not Valid: not known.
	Digest    ais.Opt[record.Digest]
	Chain     record.Hash   // of the block that ends at NextOffset; zero: NULL, after a loss
	Closed    bool          // the gateway has opened a newer log
	Watermark record.Micros // the gateway's; record.NoTime: NULL
	Epoch     uint64
	LandedAt  record.Micros // of the newest block of the log in this epoch
}

// Batch is the rows of a run of records, table by table.
type Batch struct {
	Records      []RecordRow
	Positions    []PositionRow
	Statics      []StaticRow
	BaseStations []BaseStationRow
	AtoNs        []AtoNRow
	Binaries     []BinaryRow
	Safeties     []SafetyRow
	Others       []OtherRow
	Readings     []ReadingRow
	Windows      []WindowRow
	Lates        []LateRow
	Losses       []LossRow
	Conflicts    []ConflictRow
	Logs         []LogRow

	kept []byte // backs what Keep gave
}

// Keep copies b into the batch's own memory, where it stays until Reset.
func (b *Batch) Keep(p []byte) []byte {
	at := len(b.kept)
	b.kept = append(b.kept, p...)
	return b.kept[at:len(b.kept):len(b.kept)]
}

// TypedRows says how many rows of the typed tables, and of late, a batch holds.
type TypedRows [9]int

// Typed says how many typed rows the batch holds now.
func (b *Batch) Typed() TypedRows {
	return TypedRows{
		len(b.Positions), len(b.Statics), len(b.BaseStations), len(b.AtoNs), len(b.Binaries),
		len(b.Safeties), len(b.Others), len(b.Readings), len(b.Lates),
	}
}

// Rows says how many rows of record and of the typed tables a batch holds.
func (b *Batch) Rows() int {
	n := len(b.Records)
	for _, of := range b.Typed() {
		n += of
	}
	return n
}

// CutTyped takes out the typed rows that came after Typed returned n.
func (b *Batch) CutTyped(n TypedRows) {
	b.Positions, b.Statics, b.BaseStations = b.Positions[:n[0]], b.Statics[:n[1]], b.BaseStations[:n[2]]
	b.AtoNs, b.Binaries, b.Safeties = b.AtoNs[:n[3]], b.Binaries[:n[4]], b.Safeties[:n[5]]
	b.Others, b.Readings, b.Lates = b.Others[:n[6]], b.Readings[:n[7]], b.Lates[:n[8]]
}

// Reset empties the batch and keeps its memory, but nothing of what rows point to: raw
// bytes alias landed blocks, and a row that is not written again would hold all of one.
func (b *Batch) Reset() {
	for i := range b.Records {
		b.Records[i].Raw = nil
	}
	clear(b.Readings)
	clear(b.Lates)
	clear(b.Windows)
	clear(b.Conflicts)
	b.Records, b.Positions, b.Statics = b.Records[:0], b.Positions[:0], b.Statics[:0]
	b.BaseStations, b.AtoNs, b.Binaries = b.BaseStations[:0], b.AtoNs[:0], b.Binaries[:0]
	b.Safeties, b.Others = b.Safeties[:0], b.Others[:0]
	b.Readings = b.Readings[:0]
	b.Windows, b.Lates = b.Windows[:0], b.Lates[:0]
	b.Losses, b.Conflicts, b.Logs = b.Losses[:0], b.Conflicts[:0], b.Logs[:0]
	b.kept = b.kept[:0]
}
