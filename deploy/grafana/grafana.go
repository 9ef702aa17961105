// Package grafana holds the Grafana boards of aimux: what stands in boards.go is written as JSON beside it, one file a board, by go test -update.
package grafana

// Board is one dashboard, as far as it differs from the others.
type Board struct {
	// UID is also the name of its file.
	UID, Title string
	Panels     []Panel
	// ByProvider offers to look at some providers only.
	ByProvider bool
}

// Panel is one picture: a series for each query, and the unit in which Grafana is to show them.
type Panel struct {
	Title, Unit string
	// Kind is timeseries, stat, or state-timeline.
	Kind string
	// Wide takes the whole row; else there are two in one, and four where Kind is stat.
	Wide bool
	// Text explains it to who points at it.
	Text    string
	Queries []Query
}

// Query is one PromQL expression and the legend of its series.
type Query struct{ Expr, Legend string }

// The document that Grafana imports, as far as these boards use it.
type (
	document struct {
		UID           string     `json:"uid"`
		Title         string     `json:"title"`
		Tags          []string   `json:"tags"`
		Timezone      string     `json:"timezone"`
		SchemaVersion int        `json:"schemaVersion"`
		Refresh       string     `json:"refresh"`
		Time          span       `json:"time"`
		Templating    templating `json:"templating"`
		Panels        []panel    `json:"panels"`
	}
	span struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	templating struct {
		List []variable `json:"list"`
	}
	variable struct {
		Name       string      `json:"name"`
		Label      string      `json:"label,omitempty"`
		Type       string      `json:"type"`
		Query      string      `json:"query"`
		Datasource *datasource `json:"datasource,omitempty"`
		Multi      bool        `json:"multi"`
		IncludeAll bool        `json:"includeAll"`
		AllValue   string      `json:"allValue,omitempty"`
		Refresh    int         `json:"refresh"`
	}
	datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	panel struct {
		ID          int         `json:"id"`
		Type        string      `json:"type"`
		Title       string      `json:"title"`
		Description string      `json:"description,omitempty"`
		Datasource  datasource  `json:"datasource"`
		GridPos     gridPos     `json:"gridPos"`
		FieldConfig fieldConfig `json:"fieldConfig"`
		Targets     []target    `json:"targets"`
	}
	gridPos struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	}
	fieldConfig struct {
		Defaults defaults `json:"defaults"`
	}
	defaults struct {
		Unit string `json:"unit"`
		Min  *int   `json:"min,omitempty"`
	}
	target struct {
		RefID        string     `json:"refId"`
		Expr         string     `json:"expr"`
		LegendFormat string     `json:"legendFormat"`
		Exemplar     bool       `json:"exemplar"`
		Datasource   datasource `json:"datasource"`
	}
)

// source is whichever Prometheus the reader has chosen.
var source = datasource{Type: "prometheus", UID: "${datasource}"}

// gridWide is how many columns a row of Grafana's has.
const gridWide = 24

func (b *Board) document() document {
	d := document{
		UID: b.UID, Title: b.Title, Tags: []string{"aimux"}, Timezone: "browser", SchemaVersion: 39, Refresh: "10s", Time: span{"now-1h", "now"},
		Templating: templating{List: []variable{{Name: "datasource", Label: "Prometheus", Type: "datasource", Query: "prometheus", Refresh: 1}}},
	}
	if b.ByProvider {
		d.Templating.List = append(d.Templating.List, variable{
			Name: "provider", Label: "Provider", Type: "query", Query: "label_values(aimux_attempts_total, provider)", Datasource: &source, Multi: true, IncludeAll: true, AllValue: ".*", Refresh: 2,
		})
	}
	x, y, high := 0, 0, 0
	for i, p := range b.Panels {
		width, height := gridWide/2, 8
		switch {
		case p.Wide:
			width = gridWide
		case p.Kind == "stat":
			width, height = gridWide/4, 4
		}
		if x+width > gridWide {
			x, y = 0, y+high
			high = 0
		}
		d.Panels = append(d.Panels, p.panel(i+1, gridPos{H: height, W: width, X: x, Y: y}))
		x, high = x+width, max(high, height)
	}
	return d
}

func (p *Panel) panel(id int, at gridPos) panel {
	least := 0
	out := panel{ID: id, Type: p.Kind, Title: p.Title, Description: p.Text, Datasource: source, GridPos: at, FieldConfig: fieldConfig{defaults{Unit: p.Unit, Min: &least}}}
	for i, q := range p.Queries {
		out.Targets = append(out.Targets, target{RefID: string(rune('A' + i)), Expr: q.Expr, LegendFormat: q.Legend, Exemplar: p.Kind == "timeseries", Datasource: source})
	}
	return out
}
