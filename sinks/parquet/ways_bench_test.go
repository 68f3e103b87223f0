package parquet

import (
	"math/rand/v2"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// The ways parquet-go offers to write nullable columns, on the shape of
// ais_position (34 columns), already sorted: what BenchmarkRows is measured
// against. column-values is without the making of the values.

type wayRequired struct {
	Gateway string  `parquet:"_gateway,dict"`
	Log     string  `parquet:"_log,dict"`
	Offset  int64   `parquet:"_offset,delta"`
	Row     int32   `parquet:"_row,delta"`
	Rows    int32   `parquet:"_rows,delta"`
	Event   int64   `parquet:"event_time,delta"`
	TSrc    string  `parquet:"time_source,dict"`
	TQual   string  `parquet:"time_quality,dict"`
	Recv    int64   `parquet:"received_at,delta"`
	MMSI    int32   `parquet:"mmsi,delta"`
	Type    int32   `parquet:"msg_type,delta"`
	Repeat  int32   `parquet:"repeat_indicator,delta"`
	Own     bool    `parquet:"own_ship"`
	Nav     int32   `parquet:"nav_status,delta"`
	Lat     float64 `parquet:"lat"`
	Lon     float64 `parquet:"lon"`
	Acc     bool    `parquet:"position_accuracy"`
	SOG     float64 `parquet:"sog,dict"`
	COG     float64 `parquet:"cog,dict"`
	Heading int32   `parquet:"true_heading,delta"`
	ROT     float64 `parquet:"rot,dict"`
	ROTRaw  int32   `parquet:"rot_raw,delta"`
	Alt     int32   `parquet:"altitude,delta"`
	Second  int32   `parquet:"utc_second,delta"`
	RAIM    bool    `parquet:"raim"`
	Comm    int32   `parquet:"comm_state,delta"`
	Channel string  `parquet:"channel,dict"`
	Talker  string  `parquet:"talker,dict"`
	Source  string  `parquet:"source,dict"`
	Station string  `parquet:"station,dict"`
	Dup     bool    `parquet:"is_duplicate"`
	DupLog  string  `parquet:"dup_log,dict"`
	DupOff  int64   `parquet:"dup_offset,delta"`
	Late    bool    `parquet:"is_late"`
}

type wayOptional struct {
	Gateway string  `parquet:"_gateway,dict"`
	Log     string  `parquet:"_log,dict"`
	Offset  int64   `parquet:"_offset,delta"`
	Row     int32   `parquet:"_row,delta"`
	Rows    int32   `parquet:"_rows,delta"`
	Event   int64   `parquet:"event_time,optional,delta"`
	TSrc    string  `parquet:"time_source,dict"`
	TQual   string  `parquet:"time_quality,dict"`
	Recv    int64   `parquet:"received_at,delta"`
	MMSI    int32   `parquet:"mmsi,delta"`
	Type    int32   `parquet:"msg_type,delta"`
	Repeat  int32   `parquet:"repeat_indicator,delta"`
	Own     bool    `parquet:"own_ship"`
	Nav     int32   `parquet:"nav_status,optional,delta"`
	Lat     float64 `parquet:"lat,optional"`
	Lon     float64 `parquet:"lon,optional"`
	Acc     bool    `parquet:"position_accuracy,optional"`
	SOG     float64 `parquet:"sog,optional,dict"`
	COG     float64 `parquet:"cog,optional,dict"`
	Heading int32   `parquet:"true_heading,optional,delta"`
	ROT     float64 `parquet:"rot,optional,dict"`
	ROTRaw  int32   `parquet:"rot_raw,optional,delta"`
	Alt     int32   `parquet:"altitude,optional,delta"`
	Second  int32   `parquet:"utc_second,optional,delta"`
	RAIM    bool    `parquet:"raim,optional"`
	Comm    int32   `parquet:"comm_state,optional,delta"`
	Channel string  `parquet:"channel,optional,dict"`
	Talker  string  `parquet:"talker,optional,dict"`
	Source  string  `parquet:"source,dict"`
	Station string  `parquet:"station,optional,dict"`
	Dup     bool    `parquet:"is_duplicate,optional"`
	DupLog  string  `parquet:"dup_log,optional,dict"`
	DupOff  int64   `parquet:"dup_offset,optional,delta"`
	Late    bool    `parquet:"is_late"`
}

type wayPointer struct {
	Gateway string   `parquet:"_gateway,dict"`
	Log     string   `parquet:"_log,dict"`
	Offset  int64    `parquet:"_offset,delta"`
	Row     int32    `parquet:"_row,delta"`
	Rows    int32    `parquet:"_rows,delta"`
	Event   *int64   `parquet:"event_time,optional"`
	TSrc    string   `parquet:"time_source,dict"`
	TQual   string   `parquet:"time_quality,dict"`
	Recv    int64    `parquet:"received_at,delta"`
	MMSI    int32    `parquet:"mmsi,delta"`
	Type    int32    `parquet:"msg_type,delta"`
	Repeat  int32    `parquet:"repeat_indicator,delta"`
	Own     bool     `parquet:"own_ship"`
	Nav     *int32   `parquet:"nav_status,optional"`
	Lat     *float64 `parquet:"lat,optional"`
	Lon     *float64 `parquet:"lon,optional"`
	Acc     *bool    `parquet:"position_accuracy,optional"`
	SOG     *float64 `parquet:"sog,optional,dict"`
	COG     *float64 `parquet:"cog,optional,dict"`
	Heading *int32   `parquet:"true_heading,optional"`
	ROT     *float64 `parquet:"rot,optional,dict"`
	ROTRaw  *int32   `parquet:"rot_raw,optional"`
	Alt     *int32   `parquet:"altitude,optional"`
	Second  *int32   `parquet:"utc_second,optional"`
	RAIM    *bool    `parquet:"raim,optional"`
	Comm    *int32   `parquet:"comm_state,optional"`
	Channel string   `parquet:"channel,optional,dict"`
	Talker  string   `parquet:"talker,optional,dict"`
	Source  string   `parquet:"source,dict"`
	Station string   `parquet:"station,optional,dict"`
	Dup     *bool    `parquet:"is_duplicate,optional"`
	DupLog  string   `parquet:"dup_log,optional,dict"`
	DupOff  *int64   `parquet:"dup_offset,optional"`
	Late    bool     `parquet:"is_late"`
}

const wayRows = 1 << 17

func wayData() []wayOptional {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]wayOptional, wayRows)
	log := "0123456789abcdef0123456789abcdef"
	srcs := []string{"serial0", "tcp-roof", "udp"}
	for i := range rows {
		ship := i / 256
		r := &rows[i]
		*r = wayOptional{Gateway: "gw-harbour", Log: log, Offset: int64(rng.IntN(wayRows)), Row: 0, Rows: 1,
			Event: 1_700_000_000_000_000 + int64(i%256)*6_000_000 + rng.Int64N(1e6), TSrc: "receipt", TQual: "unsynchronised",
			MMSI: int32(211_000_000 + ship*37), Type: 1, Nav: 5, Lat: 53.5 + float64(ship)/1000 + float64(i%256)*0.00007,
			Lon: 9.9 + float64(ship)/1000 + float64(i%256)*0.0001, Acc: rng.IntN(2) == 0, SOG: float64(rng.IntN(30))/10 + 5,
			COG: float64(rng.IntN(100))/10 + 100, Heading: int32(100 + rng.IntN(10)), Second: int32(1 + rng.IntN(59)),
			Comm: int32(rng.IntN(1 << 19)), Channel: "A", Talker: "AI", Source: srcs[rng.IntN(3)], RAIM: false}
		r.Recv = r.Event + 40_000
		if rng.IntN(3) == 0 {
			r.ROT, r.ROTRaw = float64(rng.IntN(20)), int32(rng.IntN(20))
		}
		if rng.IntN(10) == 0 {
			r.Dup, r.DupLog, r.DupOff = true, log, int64(rng.IntN(wayRows))
		}
		if ship%4 == 0 {
			r.Nav, r.Heading = 0, 0
		}
	}
	return rows
}

func zstdFast() *zstd.Codec { return &zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1} }

func benchWay[T any](b *testing.B, rows []T) {
	var size counter
	w := pq.NewGenericWriter[T](&size, pq.Compression(zstdFast()), pq.PageBufferSize(256<<10))
	b.ResetTimer()
	for b.Loop() {
		size = 0
		w.Reset(&size)
		if _, err := w.Write(rows); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
	b.ReportMetric(float64(size)/float64(len(rows)), "B/row")
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func nilZero[T comparable](v *T) *T {
	var zero T
	if *v == zero {
		return nil
	}
	return v
}

func BenchmarkWays(b *testing.B) {
	data := wayData()
	b.Run("struct-optional", func(b *testing.B) { benchWay(b, data) })
	b.Run("struct-required", func(b *testing.B) {
		rows := make([]wayRequired, len(data))
		for i, r := range data {
			rows[i] = wayRequired(r)
		}
		benchWay(b, rows)
	})
	b.Run("struct-pointer", func(b *testing.B) {
		rows := make([]wayPointer, len(data))
		for i := range data {
			r := &data[i]
			rows[i] = wayPointer{r.Gateway, r.Log, r.Offset, r.Row, r.Rows, nilZero(&r.Event), r.TSrc, r.TQual, r.Recv, r.MMSI, r.Type, r.Repeat, r.Own,
				nilZero(&r.Nav), nilZero(&r.Lat), nilZero(&r.Lon), nilZero(&r.Acc), nilZero(&r.SOG), nilZero(&r.COG), nilZero(&r.Heading), nilZero(&r.ROT), nilZero(&r.ROTRaw),
				nilZero(&r.Alt), nilZero(&r.Second), nilZero(&r.RAIM), nilZero(&r.Comm), r.Channel, r.Talker, r.Source, r.Station, nilZero(&r.Dup), r.DupLog, nilZero(&r.DupOff), r.Late}
		}
		benchWay(b, rows)
	})
	b.Run("column-values", func(b *testing.B) {
		schema := pq.SchemaOf(wayOptional{})
		cols := make([][]pq.Value, len(schema.Columns()))
		row := pq.Row(nil)
		for i := range data {
			row = schema.Deconstruct(row[:0], &data[i])
			for _, v := range row {
				cols[v.Column()] = append(cols[v.Column()], v)
			}
		}
		var size counter
		w := pq.NewGenericWriter[wayOptional](&size, pq.Compression(zstdFast()), pq.PageBufferSize(256<<10))
		b.ResetTimer()
		for b.Loop() {
			size = 0
			w.Reset(&size)
			for c, cw := range w.ColumnWriters() {
				for i := 0; i < len(cols[c]); i += 1024 {
					if _, err := cw.WriteRowValues(cols[c][i:min(i+1024, len(cols[c]))]); err != nil {
						b.Fatal(err)
					}
				}
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(data)), "ns/row")
		b.ReportMetric(float64(size)/float64(len(data)), "B/row")
	})
}
