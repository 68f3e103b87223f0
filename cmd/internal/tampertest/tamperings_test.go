package tampertest

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	pq "github.com/parquet-go/parquet-go"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// The first level of the audit that finds a tampering.
const (
	atOffsets = "offsets"
	atFiles   = "files"
	atBytes   = "bytes"
	atValues  = "values"
	// atTips: nobody could know without what the gateway keeps, or the result of an
	// earlier audit.
	atTips = "tips"
	// atSince: an earlier audit's result tells.
	atSince = "since"
	// never: it is none, the lake stays exact.
	never = "never"
)

// tampering is one way to damage a lake.
type tampering struct {
	name string
	of   string // the lake: good, shed
	// do damages a copy and says where, as far as the audit has to name it.
	do func(b *Bench) Victim
	// level is the first one that finds it.
	level string
}

// others are lakes that were made as the good one was, from other records.
type others struct {
	changed  *Lake // some were changed
	forged   *Lake // the same, with digests that fit
	collided *Lake // some were changed so that the digests fit by themselves
}

// tamperings lists them all.
func tamperings(o others) []tampering {
	return slices.Concat(rowTamperings(), fileTamperings(o.changed), goneTamperings(), valueTamperings(), rawTamperings(o),
		checkpointTamperings(), ledgerTamperings(), lossTamperings())
}

func rowTamperings() []tampering {
	record, positions := table.Record, table.AISPosition
	middle := func(r *Rows) int { return len(r.Rows) / 2 }
	return []tampering{
		{"a row of record dropped", "good", func(b *Bench) (at Victim) {
			v := b.Edit(b.Large(record), func(r *Rows) {
				i := middle(r)
				at = r.at(i)
				r.Rows = slices.Delete(r.Rows, i, i+1)
			})
			return Victim{Gateway: at.Gateway, Log: at.Log, Offset: at.Offset, Table: v.Table}
		}, atOffsets},
		{"a record dropped with its typed rows", "good", func(b *Bench) Victim {
			r := ReadRows(b, b.Path(b.Large(record)))
			at := r.at(middle(r))
			b.EveryTable(func(_ table.Name, r *Rows) {
				r.Delete(func(row pq.Row) bool {
					return row[r.Column("_offset")].String() == at.Offset && row[r.Column("_log")].String() == at.Log
				})
			})
			return at
		}, atOffsets},
		{"a typed row dropped", "good", func(b *Bench) Victim {
			v := b.Edit(b.Large(positions), func(r *Rows) {
				r.Rows = slices.Delete(r.Rows, middle(r), middle(r)+1)
			})
			return v
		}, atOffsets},
		{"a row of window dropped", "good", dropFirst(table.Window), atFiles},
		{"a row of late dropped", "good", dropFirst(table.Late), atFiles},
		{"a row of record doubled", "good", double(record), atOffsets},
		{"a typed row doubled", "good", double(positions), atOffsets},
		{"a row of window doubled", "good", double(table.Window), atFiles},
		{"a typed row moved to another offset", "good", func(b *Bench) (at Victim) {
			v := b.Edit(b.Large(positions), func(r *Rows) {
				i := r.Find("_offset", nil)
				at = r.at(i)
				r.Set(i, "_offset", pq.Int64Value(r.Get(i, "_offset").Int64()+1))
			})
			return Victim{Gateway: at.Gateway, Log: at.Log, Table: v.Table}
		}, atOffsets},
		{"a row of window moved to another record", "good", func(b *Bench) Victim {
			return b.Edit(b.Large(table.Window), func(r *Rows) {
				r.Set(0, "_offset", pq.Int64Value(r.Get(0, "_offset").Int64()+1))
			})
		}, atBytes},
		{"a log's tail dropped from every table", "good", func(b *Bench) (at Victim) {
			at = lastLog(b)
			b.EveryTable(func(_ table.Name, r *Rows) {
				log, offset := r.Column("_log"), r.Column("_offset")
				r.Delete(func(row pq.Row) bool { return row[log].String() == at.Log && row[offset].Int64() >= 1000 })
			})
			return at
		}, atOffsets},
		{"a closed log dropped from every table", "good", func(b *Bench) Victim { return dropLog(b, 1) }, atOffsets},
		{"a gateway's open log dropped from every table", "good", func(b *Bench) Victim { return dropLog(b, LogsPerGateway-1) }, atOffsets},
		{"a gateway renamed in every table", "good", func(b *Bench) Victim {
			for _, t := range table.Names() {
				for _, name := range b.Table(t) {
					b.Edit(name, func(r *Rows) {
						for i := range r.Rows {
							if r.Get(i, "_gateway").String() == Gateways()[0] {
								r.Set(i, "_gateway", pq.ByteArrayValue([]byte("omega")))
							}
						}
					})
				}
			}
			return Victim{Gateway: Gateways()[0]}
		}, atOffsets},
	}
}

// lastLog is the open log of the first gateway.
func lastLog(b *Bench) Victim { return Victim{Gateway: Gateways()[0], Log: logOf(b, LogsPerGateway-1)} }

// logOf returns the id of the k-th log of the first gateway.
func logOf(b *Bench, k int) string {
	logs := map[string]bool{}
	for _, name := range b.Table(table.Record) {
		r := ReadRows(b, b.Path(name))
		for i := range r.Rows {
			if r.Get(i, "_gateway").String() == Gateways()[0] {
				logs[r.Get(i, "_log").String()] = true
			}
		}
	}
	var all []string
	for log := range logs {
		all = append(all, log)
	}
	slices.Sort(all)
	return all[k]
}

func dropLog(b *Bench, k int) Victim {
	log := logOf(b, k)
	b.EveryTable(func(_ table.Name, r *Rows) {
		r.Delete(func(row pq.Row) bool { return row[r.Column("_log")].String() == log })
	})
	return Victim{Gateway: Gateways()[0], Log: log}
}

func dropFirst(t table.Name) func(b *Bench) Victim {
	return func(b *Bench) Victim { return b.Edit(b.Large(t), func(r *Rows) { r.Rows = r.Rows[1:] }) }
}

func double(t table.Name) func(b *Bench) Victim {
	return func(b *Bench) (at Victim) {
		v := b.Edit(b.Large(t), func(r *Rows) {
			i := len(r.Rows) / 2
			at = r.at(i)
			r.Rows = slices.Insert(r.Rows, i, r.Rows[i].Clone())
		})
		if t == table.Window {
			return v
		}
		return Victim{Gateway: at.Gateway, Log: at.Log, Table: v.Table}
	}
}

func fileTamperings(other *Lake) []tampering {
	fileOf := func(name string) Victim { return Victim{Table: path.Dir(path.Dir(name)), File: name} }
	doubled := func(t table.Name) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			name := b.Large(t)
			copied := strings.Replace(name, "-0.parquet", "-1.parquet", 1)
			data, err := os.ReadFile(b.Path(name))
			must(b, err)
			Write(b, b.Path(copied), data)
			return fileOf(copied)
		}
	}
	return []tampering{
		{"a file of record doubled", "good", doubled(table.Record), atOffsets},
		{"a typed file doubled", "good", doubled(table.AISPosition), atOffsets},
		{"a file of window doubled", "good", doubled(table.Window), atFiles},
		{"a file of late doubled", "good", doubled(table.Late), atFiles},
		{"two epochs' files exchanged", "good", func(b *Bench) Victim {
			names := slices.DeleteFunc(b.Table(table.AISPosition), func(name string) bool { return taskOf(name) != Task(0).String() })
			x, y := neighbours(names)
			b.Move(x, "kept")
			b.Move(y, x)
			b.Move("kept", y)
			return fileOf(x)
		}, atOffsets},
		{"two epochs' files exchanged in every table", "good", func(b *Bench) (v Victim) {
			for _, t := range table.Names() {
				names := slices.DeleteFunc(b.Table(t), func(name string) bool { return taskOf(name) != Task(0).String() })
				if len(names) == 0 {
					continue
				}
				x, y := neighbours(names)
				b.Move(x, "kept")
				b.Move(y, x)
				b.Move("kept", y)
				v = fileOf(x)
			}
			return v
		}, atOffsets},
		{"a file moved to another day", "good", func(b *Bench) Victim {
			name := b.Large(table.AISPosition)
			b.Move(name, path.Join(path.Dir(path.Dir(name)), "dt=2020-01-01", path.Base(name)))
			return fileOf(name)
		}, atFiles},
		{"a file renamed", "good", func(b *Bench) Victim {
			name := b.Large(table.AISPosition)
			b.Move(name, path.Join(path.Dir(name), "part-0.parquet"))
			return fileOf(name)
		}, atOffsets},
		{"a file cut", "good", func(b *Bench) Victim {
			name := b.Large(table.AISStatic)
			data, err := os.ReadFile(b.Path(name))
			must(b, err)
			Write(b, b.Path(name), data[:len(data)-100])
			return fileOf(name)
		}, atOffsets},
		{"a file of window cut", "good", func(b *Bench) Victim {
			name := b.Large(table.Window)
			data, err := os.ReadFile(b.Path(name))
			must(b, err)
			Write(b, b.Path(name), data[:len(data)-100])
			return fileOf(name)
		}, atOffsets},
		{"an empty file in its place", "good", func(b *Bench) Victim {
			name := b.Large(table.AISPosition)
			Write(b, b.Path(name), nil)
			return fileOf(name)
		}, atOffsets},
		{"a file of the same name from another history", "good", func(b *Bench) Victim {
			name := changedFile(b, other, table.AISPosition)
			data, err := os.ReadFile(filepath.Join(other.Dir, name))
			must(b, err)
			Write(b, b.Path(name), data)
			return fileOf(name)
		}, atFiles},
		{"the footer says another epoch", "good", func(b *Bench) Victim {
			name := b.Large(table.AISPosition)
			data, err := os.ReadFile(b.Path(name))
			must(b, err)
			data = bytes.Clone(data)
			i := bytes.LastIndex(data, []byte("landfall.epoch"))
			digit := i + len("landfall.epoch") + 2 // a thrift header and a length
			data[digit] ^= 1
			Write(b, b.Path(name), data)
			return fileOf(name)
		}, atFiles},
		{"a foreign Parquet file in a table", "good", func(b *Bench) Victim {
			const foreign = "ais_position/dt=2026-06-02/part-00000-of-somebody.parquet"
			r := ReadRows(b, b.Path(b.Large(table.Window)))
			r.Replace(writeEmpty(b, b.Path(foreign)))
			return fileOf(foreign)
		}, atOffsets},
		{"a Parquet file in a foreign folder, which readers with globs read", "good", func(b *Bench) Victim {
			const foreign = "ais_position/_delta_log/00000000000000000010.checkpoint.parquet"
			r := ReadRows(b, b.Path(b.Large(table.Window)))
			r.Replace(writeEmpty(b, b.Path(foreign)))
			return fileOf(foreign)
		}, atOffsets},
		{"a foreign folder in a table", "good", func(b *Bench) Victim {
			Write(b, b.Path("ais_position/_delta_log/00000000000000000000.json"), []byte(`{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}`+"\n"))
			Write(b, b.Path("ais_position/_delta_log/_last_checkpoint"), []byte(`{"version":0}`))
			Write(b, b.Path("README.txt"), []byte("somebody's notes"))
			return Victim{}
		}, never},
	}
}

func writeEmpty(b *Bench, p string) string {
	Write(b, p, nil)
	return p
}

// changedFile is the first file of a table that differs in another lake.
func changedFile(b *Bench, other *Lake, t table.Name) string {
	b.Helper()
	for _, name := range b.Table(t) {
		x, err := os.ReadFile(b.Path(name))
		must(b, err)
		if y, err := os.ReadFile(filepath.Join(other.Dir, name)); err == nil && !bytes.Equal(x, y) {
			return name
		}
	}
	b.Fatalf("no file of %s differs", t)
	return ""
}

func goneTamperings() []tampering {
	gone := func(t table.Name) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			name := b.Large(t)
			b.Remove(name)
			return Victim{Table: string(t), File: name}
		}
	}
	whole := func(t table.Name) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			b.Remove(string(t))
			return Victim{Table: string(t)}
		}
	}
	gateway := func(b *Bench) {
		for _, t := range table.Names() {
			for _, name := range b.Table(t) {
				if taskOf(name) == Task(1).String() {
					b.Remove(name)
				}
			}
		}
	}
	all := []tampering{
		{"a gateway's files gone", "good", func(b *Bench) Victim {
			gateway(b)
			return Victim{Gateway: Gateways()[0]}
		}, atOffsets},
		{"a gateway's files gone, with its checkpoint", "good", func(b *Bench) Victim {
			gateway(b)
			b.Remove("_checkpoint/" + Task(1).String())
			return Victim{File: Task(1).String() + "/HEAD"}
		}, atOffsets},
		{"a gateway's files gone, its task set back to its beginning", "good", func(b *Bench) Victim {
			gateway(b)
			b.restart(Task(1))
			return Victim{Gateway: Gateways()[0]}
		}, atTips},
		{"the table record gone", "good", whole(table.Record), atOffsets},
		{"a typed table gone", "good", whole(table.AISStatic), atOffsets},
		{"the table window gone", "good", whole(table.Window), atOffsets},
		{"the table late gone", "good", whole(table.Late), atOffsets},
	}
	for _, t := range []table.Name{table.Record, table.AISPosition, table.SensorReading} {
		all = append(all, tampering{"a file of " + string(t) + " gone", "good", gone(t), atOffsets})
	}
	for _, t := range []table.Name{table.Window, table.Late} {
		all = append(all, tampering{"a file of " + string(t) + " gone", "good", gone(t), atFiles})
	}
	return all
}

func valueTamperings() []tampering {
	set := func(t table.Name, column string, change func(pq.Value) pq.Value) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			v := b.SetValue(t, column, change)
			return Victim{Table: v.Table, File: v.File}
		}
	}
	text := func(s string) func(pq.Value) pq.Value {
		return func(v pq.Value) pq.Value {
			return pq.ByteArrayValue([]byte(s + v.String()[min(len(s), len(v.String())):]))
		}
	}
	number := func(v pq.Value) pq.Value { return pq.Int32Value(v.Int32() ^ 1) }
	more := func(v pq.Value) pq.Value { return pq.DoubleValue(v.Double() + 1) }
	all := []tampering{
		{"a double changed", "good", set(table.AISPosition, "lat", func(v pq.Value) pq.Value { return pq.DoubleValue(v.Double() / 2) }), atBytes},
		{"an int32 changed", "good", set(table.AISPosition, "true_heading", number), atBytes},
		{"mmsi changed", "good", set(table.AISPosition, "mmsi", number), atBytes},
		{"an int64 changed", "good", set(table.Record, "monotonic", func(v pq.Value) pq.Value { return pq.Int64Value(v.Int64() + 1) }), atBytes},
		{"a bool changed", "good", set(table.AISPosition, "own_ship", func(v pq.Value) pq.Value { return pq.BooleanValue(!v.Boolean()) }), atBytes},
		{"a string changed", "good", set(table.SensorReading, "value_text", text("STEP")), atBytes},
		{"a blob changed", "good", set(table.AISOther, "talker", text("X")), atBytes},
		{"a timestamp changed", "good", set(table.AISPosition, "event_time", func(v pq.Value) pq.Value { return pq.Int64Value(v.Int64() + 1_000_000) }), atBytes},
		{"source changed", "good", set(table.Record, "source", text("somew")), atBytes},
		{"reject_reason changed", "good", set(table.Record, "reject_reason", text("no_")), atBytes},
		{"is_duplicate changed", "good", set(table.AISPosition, "is_duplicate", func(v pq.Value) pq.Value { return pq.BooleanValue(!v.Boolean()) }), atBytes},
		{"a sum of window changed", "good", set(table.Window, "mean", more), atBytes},
		{"a value became NULL", "good", func(b *Bench) Victim {
			return b.Edit(b.Large(table.AISPosition), func(r *Rows) {
				i, c := r.Find("lat", nil), r.Column("lat")
				r.Rows[i][c] = pq.NullValue().Level(0, 0, c)
			})
		}, atBytes},
	}
	// The same, by somebody who can write the ledger too.
	forged := func(name string, t table.Name, column string, change func(pq.Value) pq.Value) tampering {
		return tampering{name + ", and the ledger forged up to HEAD", "good", func(b *Bench) Victim {
			v := b.SetValue(t, column, change)
			b.ForgeFile(v.File)
			v.Column = column
			return v
		}, atValues}
	}
	// What is no function of the raw bytes that the gateway's digest covers.
	unknowable := func(name string, t table.Name, column string, change func(pq.Value) pq.Value) tampering {
		one := forged(name, t, column, change)
		one.level = atTips
		do := one.do
		one.do = func(b *Bench) Victim {
			return Victim{Task: taskOf(do(b).File)}
		}
		return one
	}
	return append(all,
		forged("a double changed", table.AISPosition, "lat", func(v pq.Value) pq.Value { return pq.DoubleValue(v.Double() / 2) }),
		forged("mmsi changed", table.AISPosition, "mmsi", number),
		forged("reject_reason changed", table.Record, "reject_reason", text("no_")),
		tampering{"a sentence said to be no record, and the ledger forged up to HEAD", "good", func(b *Bench) Victim {
			v := b.Edit(b.Large(table.Record), func(r *Rows) {
				i := r.Find("raw", func(v pq.Value) bool {
					raw := string(v.ByteArray())
					return strings.Contains(raw, "!AIVDM") && (raw[0] == '!' || raw[0] == '\\')
				})
				c := r.Column("reject_reason")
				r.Rows[i][c] = pq.ByteArrayValue([]byte("record_corrupt")).Level(0, 1, c)
			})
			b.ForgeFile(v.File)
			v.Column = "reject_reason"
			return v
		}, atValues},
		unknowable("is_duplicate changed", table.AISPosition, "is_duplicate", func(v pq.Value) pq.Value { return pq.BooleanValue(!v.Boolean()) }),
		unknowable("a sum of window changed", table.Window, "mean", more),
		tampering{"a sum of window changed, and a repair of the file forged into the ledger", "good", func(b *Bench) Victim {
			v := b.SetValue(table.Window, "mean", more)
			b.RepairFile(v.File)
			return Victim{Task: taskOf(v.File), Table: v.Table, File: v.File}
		}, atTips},
		unknowable("monotonic changed", table.Record, "monotonic", func(v pq.Value) pq.Value { return pq.Int64Value(v.Int64() + 1) }),
	)
}

func rawTamperings(o others) []tampering {
	whole := func(l *Lake) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			must(b, os.RemoveAll(b.Dir))
			Copy(b, l.Dir, b.Dir)
			return changedRecord()
		}
	}
	return []tampering{
		{"raw changed alone", "good", func(b *Bench) Victim {
			v := b.SetValue(table.Record, "raw", flipLast)
			return Victim{Gateway: v.Gateway, Log: v.Log}
		}, atFiles},
		{"raw changed alone, and the ledger forged up to HEAD", "good", func(b *Bench) Victim {
			v := b.SetValue(table.Record, "raw", flipLast)
			b.ForgeFile(v.File)
			return Victim{Gateway: v.Gateway, Log: v.Log}
		}, atFiles},
		{"raw and typed rows changed consistently", "good", func(b *Bench) Victim {
			b.take(o.changed, table.Names())
			return changedRecord()
		}, atFiles},
		{"raw and typed rows changed consistently, the whole ledger with them", "good", whole(o.changed), atFiles},
		{"raw, typed rows, digests and the whole ledger changed consistently", "good", whole(o.forged), atTips},
		{"records exchanged for others with the same digest, their typed rows too, and the ledger forged up to HEAD", "good", func(b *Bench) Victim {
			taken := b.take(o.collided, slices.DeleteFunc(table.Names(), func(t table.Name) bool { return t == table.Log }))
			for _, name := range taken {
				b.ForgeFile(name)
			}
			return Victim{Task: taskOf(taken[0])}
		}, atTips},
	}
}

// take puts the files of tables of another lake in place of those that differ, and
// returns their names.
func (b *Bench) take(from *Lake, tables []table.Name) (taken []string) {
	b.Helper()
	for _, t := range tables {
		for _, name := range b.Table(t) {
			x, err := os.ReadFile(b.Path(name))
			must(b, err)
			y, err := os.ReadFile(filepath.Join(from.Dir, name))
			must(b, err)
			if !bytes.Equal(x, y) {
				Write(b, b.Path(name), y)
				taken = append(taken, name)
			}
		}
	}
	if len(taken) == 0 {
		b.Fatal("the other lake is the same")
	}
	return taken
}

func flipLast(v pq.Value) pq.Value {
	p := bytes.Clone(v.ByteArray())
	p[len(p)-1] ^= 1
	return pq.ByteArrayValue(p)
}

func checkpointTamperings() []tampering {
	task := func(name string) string { return path.Join("_checkpoint", Task(0).String(), name) }
	damage := func(pattern string) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			names := Files(b, b.Dir, task(pattern))
			name := names[len(names)-1]
			data, err := os.ReadFile(b.Path(name))
			must(b, err)
			data = bytes.Clone(data)
			data[len(data)/2] ^= 4
			Write(b, b.Path(name), data)
			return Victim{File: strings.TrimPrefix(name, "_checkpoint/")}
		}
	}
	gone := func(pattern string) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			names := Files(b, b.Dir, task(pattern))
			name := names[len(names)-1]
			b.Remove(name)
			return Victim{File: strings.TrimPrefix(name, "_checkpoint/")}
		}
	}
	earlier := func(b *Bench, part string) {
		must(b, os.RemoveAll(b.Path(part)))
		Copy(b, filepath.Join(b.Earlier, part), b.Path(part))
	}
	return []tampering{
		{"the whole lake as it was an hour ago", "good", func(b *Bench) Victim {
			earlier(b, "")
			return Victim{Gateway: Gateways()[0]}
		}, atTips},
		{"_checkpoint alone as it was an hour ago", "good", func(b *Bench) Victim {
			earlier(b, "_checkpoint")
			return Victim{}
		}, atOffsets},
		{"the tables alone as they were an hour ago", "good", func(b *Bench) Victim {
			for _, t := range table.Names() {
				if _, err := os.Stat(filepath.Join(b.Earlier, string(t))); err == nil {
					earlier(b, string(t))
				}
			}
			return Victim{Gateway: Gateways()[0]}
		}, atOffsets},
		{"_checkpoint gone", "good", func(b *Bench) Victim {
			b.Remove("_checkpoint")
			return Victim{}
		}, atOffsets},
		{"the files of the newest epoch back where they were staged", "good", func(b *Bench) Victim {
			_, m := b.Head(b, Task(0))
			for _, s := range m.Staged {
				b.Move(s.Target, s.Name)
			}
			return Victim{Task: Task(0).String()}
		}, atTips},
		{"HEAD set back", "good", func(b *Bench) Victim {
			kept := Files(b, b.Dir, task("ledger/*"))
			must(b, os.Rename(b.Path(task("ledger")), b.Path("ledger")))
			earlier(b, task(""))
			must(b, os.RemoveAll(b.Path(task("ledger"))))
			must(b, os.Rename(b.Path("ledger"), b.Path(task("ledger"))))
			if len(kept) == 0 {
				b.Fatal("there is no ledger")
			}
			return Victim{Task: Task(0).String(), File: Task(0).String() + "/HEAD"}
		}, atOffsets},
		{"HEAD damaged", "good", damage("HEAD"), atOffsets},
		{"HEAD gone", "good", gone("HEAD"), atOffsets},
		{"the manifest damaged", "good", damage("manifest/*"), atOffsets},
		{"the manifest gone", "good", gone("manifest/*"), atOffsets},
		{"a state object damaged", "good", damage("state/*"), atOffsets},
		{"a state object gone", "good", gone("state/*"), atOffsets},
		manifest("the manifest without its state, forged up to HEAD", "/state", func(m *checkpoint.Manifest) { m.State = nil }),
		manifest("the manifest with the first object of its state alone, forged up to HEAD", "/state", func(m *checkpoint.Manifest) { m.State = m.State[:1] }),
		manifest("the manifest without the first object of its state, forged up to HEAD", "/state", func(m *checkpoint.Manifest) { m.State = m.State[1:] }),
		manifest("the manifest said to be the last one, forged up to HEAD", "/HEAD", func(m *checkpoint.Manifest) { m.Final = true }),
		manifest("the position in the manifest set back, forged up to HEAD", "/HEAD", func(m *checkpoint.Manifest) { m.Position = stream.Position{} }),
		manifest("the decoder in the manifest changed, forged up to HEAD", "/HEAD", func(m *checkpoint.Manifest) { m.Decoder += "0" }),
	}
}

// manifest is a manifest that was changed alone, with a HEAD that fits.
func manifest(name, file string, change func(m *checkpoint.Manifest)) tampering {
	return tampering{name, "good", func(b *Bench) Victim {
		head, m := b.Head(b, Task(0))
		change(&m)
		b.setHead(Task(0), head, m)
		return Victim{File: Task(0).String() + file}
	}, atOffsets}
}

func ledgerTamperings() []tampering {
	entry := func(b *Bench, n int) string { return path.Join("_checkpoint", b.Ledger(b, Task(0))[n].Object) }
	object := func(name string) Victim { return Victim{File: strings.TrimPrefix(name, "_checkpoint/")} }
	return []tampering{
		{"a ledger entry gone", "good", func(b *Bench) Victim {
			name := entry(b, 4)
			b.Remove(name)
			return Victim{}
		}, atOffsets},
		{"the newest ledger entry gone", "good", func(b *Bench) Victim {
			all := b.Ledger(b, Task(0))
			b.Remove(entry(b, len(all)-1))
			return Victim{}
		}, atOffsets},
		{"two ledger entries exchanged", "good", func(b *Bench) Victim {
			x, y := entry(b, 4), entry(b, 5)
			b.Move(x, "kept")
			b.Move(y, x)
			b.Move("kept", y)
			return object(y)
		}, atOffsets},
		{"a ledger entry rewritten", "good", func(b *Bench) Victim {
			one := b.Ledger(b, Task(0))[4]
			one.Files[0].Rows++
			line, err := one.Entry.Encode()
			must(b, err)
			name := path.Join("_checkpoint", one.Object)
			Write(b, b.Path(name), line)
			return object(name)
		}, atOffsets},
		{"a file taken out of the ledger, the chain forged up to HEAD", "good", func(b *Bench) Victim {
			name := b.Large(table.Window)
			b.Forge(TaskNamed(b, taskOf(name)), func(e *ledger.Entry) {
				e.Files = slices.DeleteFunc(e.Files, func(f ledger.File) bool { return f.Name == name })
			})
			return Victim{File: name}
		}, atFiles},
		{"a file of window gone, and taken out of the ledger, the chain forged up to HEAD", "good", func(b *Bench) Victim {
			name := b.Large(table.Window)
			b.Remove(name)
			b.Forge(TaskNamed(b, taskOf(name)), func(e *ledger.Entry) {
				e.Files = slices.DeleteFunc(e.Files, func(f ledger.File) bool { return f.Name == name })
			})
			return Victim{Task: taskOf(name)}
		}, atTips},
		{"the end of a log set back in the ledger, the chain forged up to HEAD", "good", func(b *Bench) Victim {
			b.Forge(Task(0), func(e *ledger.Entry) {
				for i := range e.Logs {
					if e.Logs[i].Next > 500 {
						e.Logs[i].From, e.Logs[i].Next = min(e.Logs[i].From, 499), 499
					}
				}
			})
			return Victim{Gateway: Gateways()[1]}
		}, atOffsets},
	}
}

func lossTamperings() []tampering {
	loss := func(edit func(r *Rows)) func(b *Bench) Victim {
		return func(b *Bench) Victim {
			v := b.Edit(b.Large(table.Loss), edit)
			return Victim{Table: v.Table, File: v.File}
		}
	}
	return []tampering{
		{"a row of loss removed", "shed", func(b *Bench) (at Victim) {
			b.Edit(b.Large(table.Loss), func(r *Rows) {
				at = r.at(0)
				r.Rows = r.Rows[1:]
			})
			return Victim{Gateway: at.Gateway, Log: at.Log}
		}, atOffsets},
		{"a row of loss invented, of what is recorded", "shed", loss(func(r *Rows) {
			row := r.Rows[0].Clone()
			r.Rows = append(r.Rows, row)
			r.Set(len(r.Rows)-1, "_offset", pq.Int64Value(10))
		}), atFiles},
		{"a row of loss invented, in place of a record", "shed", func(b *Bench) (at Victim) {
			b.Edit(b.Large(table.Loss), func(r *Rows) {
				r.Rows = append(r.Rows, r.Rows[0].Clone())
				r.Set(len(r.Rows)-1, "_offset", pq.Int64Value(10))
				r.Set(len(r.Rows)-1, "count", pq.Int64Value(1))
				at = r.at(0)
			})
			b.EveryTable(func(t table.Name, r *Rows) {
				if t != table.Loss {
					r.Delete(func(row pq.Row) bool {
						return row[r.Column("_offset")].Int64() == 10 && row[r.Column("_log")].String() == at.Log
					})
				}
			})
			return Victim{Gateway: at.Gateway, Log: at.Log}
		}, atOffsets},
	}
}
