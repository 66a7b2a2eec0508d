//! A board: rows of panels in Grafana's grid of 24 columns, variables, links.

use serde_json::{Value, json};

use crate::panel::{Panel, SOURCE, stat_text};

/// One of the three.
pub struct Board {
    /// Last part of its address.
    pub uid: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// Where its time range begins, as Grafana writes it.
    pub from: &'static str,
    /// Its variables beside the data source.
    pub variables: Vec<Value>,
    /// Height of each row in grid units, and its panels from the left.
    pub rows: Vec<(u64, Vec<(u64, Panel)>)>,
}

/// Whether the role may read at all: without tables, which a role without rights could not name.
const ACCESS: &str = "\
SELECT CASE
    WHEN to_regnamespace('sparkify') IS NULL
        THEN format('The extension is not installed in database %I: run CREATE EXTENSION sparkify.', current_database())
    WHEN NOT has_schema_privilege('sparkify', 'USAGE')
      OR NOT has_table_privilege('sparkify.recommendation_details', 'SELECT')
      OR NOT has_table_privilege('sparkify.rejections', 'SELECT')
        THEN format('Role %I may not read here: run SELECT sparkify.grant_reader(%L).', current_user, current_user)
    ELSE format('Ready: %s reads database %s.', current_user, current_database())
END AS \"access\"";

impl Board {
    /// The JSON of the board.
    #[must_use]
    pub fn into_json(self) -> Value {
        let access = stat_text(
            "Access",
            "Whether the role of the data source may read what the board shows.",
            ACCESS,
            &[("Ready.*", "text"), (".*", "red")],
        );
        let rows = std::iter::once((2, vec![(24, access)])).chain(self.rows);
        let (mut panels, mut y, mut id) = (Vec::new(), 0, 0);
        for (h, row) in rows {
            let mut x = 0;
            for (w, panel) in row {
                id += 1;
                panels.push(panel.into_json(id, json!({ "x": x, "y": y, "w": w, "h": h })));
                x += w;
            }
            y += h;
        }
        let mut variables = vec![json!({
            "type": "datasource", "name": "datasource", "label": "Data source",
            "description": "The PostgreSQL database that has the extension.",
            "query": "grafana-postgresql-datasource", "regex": "", "refresh": 1, "hide": 0,
            "includeAll": false, "multi": false, "options": [], "current": {}, "skipUrlSync": false
        })];
        variables.extend(self.variables);
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["sparkify"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "1m",
            "time": { "from": self.from, "to": "now" },
            "timepicker": { "refresh_intervals": ["10s", "30s", "1m", "5m", "15m", "1h"] },
            "links": [{
                "type": "dashboards", "title": "Sparkify", "tags": ["sparkify"], "asDropdown": false,
                "keepTime": true, "includeVars": false, "targetBlank": false, "icon": "external link",
                "tooltip": "", "url": ""
            }],
            "annotations": { "list": [] },
            "templating": { "list": variables },
            "panels": panels
        })
    }
}

/// A variable that is typed, empty for everything.
#[must_use]
pub fn typed(name: &str, label: &str, description: &str) -> Value {
    json!({
        "type": "textbox", "name": name, "label": label, "description": description,
        "query": "", "hide": 0, "options": [{ "selected": true, "text": "", "value": "" }],
        "current": { "selected": true, "text": "", "value": "" }, "skipUrlSync": false
    })
}

/// A variable that is searched for in the database.
#[must_use]
pub fn searched(name: &str, label: &str, description: &str, sql: &str) -> Value {
    json!({
        "type": "query", "name": name, "label": label, "description": description,
        "datasource": SOURCE.clone(), "definition": sql, "query": sql, "regex": "", "refresh": 1,
        "sort": 0, "hide": 0, "includeAll": false, "multi": false, "allowCustomValue": true,
        "options": [], "current": {}, "skipUrlSync": false
    })
}
