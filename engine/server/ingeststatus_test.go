package server

import (
	"net"
	"reflect"
	"strings"
	"testing"

	"landfall/edge/certs"
	"landfall/edge/page"
	"landfall/edge/wire"
	"landfall/engine/ingest"
)

// TestWhatIngestCountsIsShown: each counter of status is the Handler's of the same
// name, and two machines under one name are a metric.
func TestWhatIngestCountsIsShown(t *testing.T) {
	st := ingest.Stats{Refused: map[wire.Code]uint64{wire.CodeBusy: 3}, Unproven: map[certs.Reason]uint64{certs.Revoked: 2}}
	from := reflect.ValueOf(&st).Elem()
	for i := range from.NumField() {
		switch f := from.Field(i); f.Kind() {
		case reflect.Int:
			f.SetInt(int64(100 + i))
		case reflect.Uint64:
			f.SetUint(uint64(100 + i))
		}
	}
	shown := ingestStatus(st)
	to := reflect.ValueOf(shown)
	for i := range to.NumField() {
		name := to.Type().Field(i).Name
		if strings.HasPrefix(name, "Connections") {
			continue // of the listener: TestSilentConnectionsKeepNobodyOut
		}
		if want := from.FieldByName(name); !want.IsValid() || !reflect.DeepEqual(to.Field(i).Interface(), want.Interface()) {
			t.Errorf("%s: status says %v, ingest %v", name, to.Field(i), want)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	served, err := page.Serve(page.Config{Address: address, Prefix: "landfall_engine_", Metrics: func(m *page.Metrics) { ingestMetrics(m, &shown) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = served.Close() }()
	if got := ask(t, "http://"+address+"/metrics"); !strings.Contains(got, "\nlandfall_engine_ingest_alternations_total 109\n") {
		t.Error(got)
	}
}
