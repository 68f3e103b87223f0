package main

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const dashboardFile = "../../docs/monitoring/dashboard.json"

// TestDashboardIsGrafanas: the dashboard follows Grafana's own schema, as its makers
// publish it in Go: its kinds, its ranges, and no key that Grafana does not know.
func TestDashboardIsGrafanas(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := grafanaRefuses(text); err != nil {
		t.Error(err)
	}
}

// TestWhatIsNotGrafanas: one mistake of each kind is found, and none where there is none.
func TestWhatIsNotGrafanas(t *testing.T) {
	for name, spoil := range map[string]func(d, panel, target map[string]any){
		"nothing":                 func(_, _, _ map[string]any) {},
		"a key of the dashboard":  func(d, _, _ map[string]any) { d["panles"] = []any{} },
		"a key of a panel":        func(_, p, _ map[string]any) { p["fieldConf"] = map[string]any{} },
		"a key of a query":        func(_, _, q map[string]any) { q["exp"] = q["expr"] },
		"a string for a width":    func(_, p, _ map[string]any) { p["gridPos"].(map[string]any)["w"] = "12" },
		"a panel too wide":        func(_, p, _ map[string]any) { p["gridPos"].(map[string]any)["w"] = 25 },
		"a kind of panel unknown": func(_, p, _ map[string]any) { p["type"] = "timeserie" },
	} {
		text, err := os.ReadFile(dashboardFile)
		if err != nil {
			t.Fatal(err)
		}
		var d map[string]any
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		panel := d["panels"].([]any)[0].(map[string]any)
		spoil(d, panel, panel["targets"].([]any)[0].(map[string]any))
		if text, err = json.Marshal(d); err != nil {
			t.Fatal(err)
		}
		if err := grafanaRefuses(text); (err == nil) != (name == "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// grafanaRefuses says what Grafana's schema has against a dashboard.
func grafanaRefuses(text []byte) error {
	plugins.RegisterDefaultPlugins()
	//lint:ignore SA1019 this is the schema that every Grafana in use imports; its successor is for newer ones only
	var strict, d dashboard.Dashboard
	// It gives an error without a word in it for panels it has nothing against, and leaves them empty.
	if err := strict.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	if err := d.Validate(); err != nil {
		return err
	}
	for _, p := range d.Panels {
		if p.Panel == nil {
			return fmt.Errorf("a row, not a panel")
		}
		if _, ok := cog.NewRuntime().ConfigForPanelcfgVariant(p.Panel.Type); !ok {
			return fmt.Errorf("%s: not a kind of panel", p.Panel.Type)
		}
	}
	// It does not read queries strictly. What it does not know is gone when written again.
	again, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var ours, theirs any
	if err := json.Unmarshal(text, &ours); err != nil {
		return err
	}
	if err := json.Unmarshal(again, &theirs); err != nil {
		return err
	}
	return lostKey("", ours, theirs)
}

// lostKey finds a key of ours that theirs has not.
func lostKey(path string, ours, theirs any) error {
	switch ours := ours.(type) {
	case map[string]any:
		theirs, _ := theirs.(map[string]any)
		for key, value := range ours {
			other, ok := theirs[key]
			if empty, list := value.([]any); !ok && list && len(empty) == 0 {
				continue // written as none at all
			}
			if !ok {
				return fmt.Errorf("%s.%s: not a key of Grafana's", path, key)
			}
			if err := lostKey(path+"."+key, value, other); err != nil {
				return err
			}
		}
	case []any:
		theirs, _ := theirs.([]any)
		if len(theirs) != len(ours) {
			return fmt.Errorf("%s: %d of %d elements", path, len(theirs), len(ours))
		}
		for i := range ours {
			if err := lostKey(fmt.Sprintf("%s[%d]", path, i), ours[i], theirs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
