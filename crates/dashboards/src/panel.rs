//! Panels and their columns.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// The data source that the reader has chosen.
pub static SOURCE: LazyLock<Value> =
    LazyLock::new(|| json!({ "type": "grafana-postgresql-datasource", "uid": "${datasource}" }));

/// A panel without its place.
pub struct Panel {
    kind: &'static str,
    title: String,
    description: String,
    sql: String,
    format: &'static str,
    defaults: Value,
    fields: Vec<Field>,
    options: Value,
}

/// How a column of a query is shown.
#[derive(Clone)]
pub struct Field {
    name: &'static str,
    properties: Vec<(&'static str, Value)>,
}

impl Field {
    fn new(name: &'static str) -> Field {
        Field { name, properties: Vec::new() }
    }

    /// Sets a property of Grafana's by its id.
    #[must_use]
    pub fn set(mut self, id: &'static str, value: Value) -> Field {
        self.properties.push((id, value));
        self
    }

    /// A click on a cell leads to a board, `name=value` added to its address.
    #[must_use]
    pub fn leads_to(self, title: &str, board: &str, variable: &str) -> Field {
        // Written out: the time range, and the value as it is in the cell.
        let url = format!(
            "/d/{board}?${{__url_time_range}}&var-{variable}=${{__value.raw:percentencode}}"
        );
        self.set("links", json!([{ "title": title, "url": url, "targetBlank": false }]))
    }

    fn width(self, pixels: u32) -> Field {
        self.set("custom.width", json!(pixels))
    }
}

/// A text that takes the room that is left, 90 pixels at least.
#[must_use]
pub fn text(name: &'static str) -> Field {
    Field::new(name).set("custom.minWidth", json!(90))
}

/// A text of a known width.
#[must_use]
pub fn text_of(name: &'static str, pixels: u32) -> Field {
    Field::new(name).width(pixels)
}

/// A text that is broken into lines, and can be opened whole.
#[must_use]
pub fn long_text(name: &'static str) -> Field {
    text(name)
        .set("custom.cellOptions", json!({ "type": "auto", "wrapText": true }))
        .set("custom.inspect", json!(true))
}

/// A whole number, never shortened.
#[must_use]
pub fn number(name: &'static str, pixels: u32) -> Field {
    Field::new(name).width(pixels).set("unit", json!("locale")).set("decimals", json!(0))
}

/// A number with decimals.
#[must_use]
pub fn decimal(name: &'static str, pixels: u32, decimals: u32) -> Field {
    Field::new(name).width(pixels).set("unit", json!("none")).set("decimals", json!(decimals))
}

/// A share of 0 to 1, as per cent.
#[must_use]
pub fn share(name: &'static str, pixels: u32) -> Field {
    Field::new(name).width(pixels).set("unit", json!("percentunit")).set("decimals", json!(1))
}

/// A share of 0 to 1 with a bar.
#[must_use]
pub fn bar(name: &'static str, pixels: u32) -> Field {
    share(name, pixels).set("min", json!(0)).set("max", json!(1)).set(
        "custom.cellOptions",
        json!({ "type": "gauge", "mode": "basic", "valueDisplayMode": "text" }),
    )
}

/// A time to the minute.
#[must_use]
pub fn time(name: &'static str) -> Field {
    Field::new(name).width(135).set("unit", json!("time:YYYY-MM-DD HH:mm"))
}

/// Seconds.
#[must_use]
pub fn seconds(name: &'static str, pixels: u32) -> Field {
    Field::new(name).width(pixels).set("unit", json!("s")).set("decimals", json!(1))
}

/// A state of the pipeline, in its colour.
#[must_use]
pub fn status(name: &'static str) -> Field {
    Field::new(name)
        .width(95)
        .set("custom.cellOptions", json!({ "type": "color-text" }))
        .set("mappings", json!([{ "type": "value", "options": states() }]))
}

/// The colours of the pipeline's states.
fn states() -> Value {
    json!({
        "succeeded": { "color": "green", "index": 0 },
        "running": { "color": "blue", "index": 1 },
        "skipped": { "color": "text", "index": 2 },
        "interrupted": { "color": "orange", "index": 3 },
        "failed": { "color": "red", "index": 4 }
    })
}

/// A number among several of a stat panel.
#[must_use]
pub fn figure(name: &'static str, unit: &str, decimals: u32) -> Field {
    Field::new(name).set("unit", json!(unit)).set("decimals", json!(decimals))
}

/// A line or bar of a chart.
#[must_use]
pub fn series(name: &'static str, colour: &str) -> Field {
    Field::new(name).set("color", json!({ "mode": "fixed", "fixedColor": colour }))
}

/// A table. It has no text for what is missing: a query says itself what an empty answer means.
#[must_use]
pub fn table(title: &str, description: &str, sql: &str, fields: Vec<Field>) -> Panel {
    Panel {
        kind: "table",
        title: title.into(),
        description: description.into(),
        sql: sql.into(),
        format: "table",
        defaults: json!({
            "custom": { "align": "auto", "inspect": false, "filterable": false, "cellOptions": { "type": "auto" } },
            "color": { "mode": "fixed", "fixedColor": "blue" },
            "thresholds": { "mode": "absolute", "steps": [{ "color": "blue", "value": null }] }
        }),
        fields,
        options: json!({
            "showHeader": true, "cellHeight": "sm", "enablePagination": false,
            "footer": { "show": false, "reducer": [], "fields": "" }
        }),
    }
}

fn stat(title: &str, description: &str, sql: &str, defaults: Value, fields: Vec<Field>) -> Panel {
    Panel {
        kind: "stat",
        title: title.into(),
        description: description.into(),
        sql: sql.into(),
        format: "table",
        defaults,
        fields,
        options: json!({
            "reduceOptions": { "values": false, "calcs": ["lastNotNull"], "fields": "/.*/" },
            "orientation": "auto", "textMode": "value_and_name", "wideLayout": true, "colorMode": "value",
            "graphMode": "none", "justifyMode": "auto", "showPercentChange": false,
            "text": { "titleSize": 14, "valueSize": 24 }
        }),
    }
}

/// Figures side by side, of one row. Texts small enough that none is cut.
#[must_use]
pub fn figures(title: &str, description: &str, sql: &str, fields: Vec<Field>) -> Panel {
    let defaults = json!({
        "unit": "locale", "color": { "mode": "fixed", "fixedColor": "text" }, "noValue": "unknown"
    });
    stat(title, description, sql, defaults, fields)
}

/// A sentence, coloured by the first expression that it matches as a whole.
#[must_use]
pub fn stat_text(title: &str, description: &str, sql: &str, colours: &[(&str, &str)]) -> Panel {
    let mappings: Vec<Value> = colours
        .iter()
        .zip(0..)
        .map(|((pattern, colour), index)| {
            json!({ "type": "regex", "options": {
                "pattern": pattern,
                "result": { "color": colour, "index": index } } })
        })
        .collect();
    let defaults = json!({
        "mappings": mappings, "unit": "string", "color": { "mode": "fixed", "fixedColor": "text" }
    });
    let mut panel = stat(title, description, sql, defaults, Vec::new());
    panel.options["textMode"] = json!("value");
    panel.options["justifyMode"] = json!("center");
    panel.options["text"] = json!({ "valueSize": 16 });
    panel
}

/// A chart over time. `style` is `line`, `bars` or `points`.
#[must_use]
pub fn chart(
    title: &str,
    description: &str,
    sql: &str,
    style: &str,
    empty: &str,
    fields: Vec<Field>,
) -> Panel {
    let points = if style == "points" { "always" } else { "auto" };
    Panel {
        kind: "timeseries",
        title: title.into(),
        description: description.into(),
        sql: sql.into(),
        format: "time_series",
        defaults: json!({
            "unit": "locale", "decimals": 0, "min": 0, "noValue": empty,
            "color": { "mode": "palette-classic" },
            "custom": {
                "drawStyle": style, "lineInterpolation": "linear", "lineWidth": 1,
                "fillOpacity": if style == "bars" { 70 } else { 8 }, "pointSize": if style == "points" { 8 } else { 4 },
                "showPoints": points, "spanNulls": false, "axisPlacement": "auto", "axisLabel": "",
                "stacking": { "mode": "none", "group": "A" }, "scaleDistribution": { "type": "linear" },
                "hideFrom": { "legend": false, "tooltip": false, "viz": false }
            }
        }),
        fields,
        options: json!({
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
            "tooltip": { "mode": "multi", "sort": "none" }
        }),
    }
}

impl Panel {
    /// Stacks the bars of a chart.
    #[must_use]
    pub fn stacked(mut self) -> Panel {
        self.defaults["custom"]["stacking"]["mode"] = json!("normal");
        self
    }

    /// The unit of all numbers of the panel.
    #[must_use]
    pub fn unit(mut self, unit: &str, decimals: u32) -> Panel {
        self.defaults["unit"] = json!(unit);
        self.defaults["decimals"] = json!(decimals);
        self
    }

    /// The JSON of the panel at a place.
    #[must_use]
    pub fn into_json(self, id: u64, place: Value) -> Value {
        let overrides: Vec<Value> = self
            .fields
            .into_iter()
            .map(|field| {
                let properties: Vec<Value> = field
                    .properties
                    .into_iter()
                    .map(|(id, value)| json!({ "id": id, "value": value }))
                    .collect();
                json!({ "matcher": { "id": "byName", "options": field.name }, "properties": properties })
            })
            .collect();
        json!({
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "gridPos": place,
            "datasource": SOURCE.clone(),
            "targets": [{
                "refId": "A", "datasource": SOURCE.clone(), "editorMode": "code",
                "format": self.format, "rawQuery": true, "rawSql": self.sql
            }],
            "fieldConfig": { "defaults": self.defaults, "overrides": overrides },
            "options": self.options,
            "transparent": false
        })
    }
}
