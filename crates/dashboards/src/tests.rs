use std::collections::HashSet;
use std::fs;

use serde_json::Value;

use crate::{boards, folder, text};

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn panels() -> Vec<(&'static str, Value)> {
    boards()
        .into_iter()
        .flat_map(|(file, board)| {
            array(&board["panels"]).iter().map(|panel| (file, panel.clone())).collect::<Vec<_>>()
        })
        .collect()
}

fn property<'a>(field: &'a Value, id: &str) -> Option<&'a Value> {
    array(&field["properties"]).iter().find(|p| p["id"] == id).map(|p| &p["value"])
}

#[test]
fn the_files_are_those_described() {
    for (file, board) in boards() {
        let found = fs::read_to_string(folder().join(file)).unwrap_or_default();
        let stored: Value = serde_json::from_str(&found).unwrap_or_default();
        assert!(
            stored == board,
            "{file} is not what is described: cargo run -p sparkify-dashboards"
        );
        assert!(text(&board).unwrap().ends_with("}\n"));
    }
}

#[test]
fn each_board_fills_its_grid_and_every_panel_says_what_it_shows() {
    for (file, board) in boards() {
        let (mut taken, mut titles) = (HashSet::new(), HashSet::new());
        for panel in array(&board["panels"]) {
            let title = string(&panel["title"]);
            assert!(titles.insert(title), "{file}: {title} twice");
            assert!(string(&panel["description"]).ends_with('.'), "{file}: {title}");
            let grid = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for x in grid("x")..grid("x") + grid("w") {
                for y in grid("y")..grid("y") + grid("h") {
                    assert!(x < 24 && taken.insert((x, y)), "{file}: {title} at {x}, {y}");
                }
            }
        }
        let height = taken.iter().map(|(_, y)| y + 1).max().unwrap();
        assert_eq!(taken.len() as u64, height * 24, "{file} has a hole");
    }
}

/// Grafana 12: 24 columns with 8 pixels between them, 16 on both sides of the board,
/// and a border and 8 pixels of padding on both sides of a panel.
fn inner_width(columns: u64, screen: u64) -> u64 {
    let (sides, gap, padding) = (32, 8, 18);
    (screen - sides - 23 * gap) * columns / 24 + (columns - 1) * gap - padding
}

#[test]
fn every_column_of_a_table_has_room_at_1280_pixels() {
    assert_eq!(inner_width(24, 1280), 1230);
    for (file, panel) in panels().iter().filter(|(_, panel)| panel["type"] == "table") {
        let needed: u64 = array(&panel["fieldConfig"]["overrides"])
            .iter()
            .map(|field| {
                property(field, "custom.width")
                    .or(property(field, "custom.minWidth"))
                    .and_then(Value::as_u64)
                    .unwrap_or_else(|| panic!("{file}: {field} has no width"))
            })
            .sum();
        let room = inner_width(panel["gridPos"]["w"].as_u64().unwrap(), 1280);
        assert!(needed <= room, "{file}: {} needs {needed} of {room} pixels", panel["title"]);
    }
}

/// A character of Grafana's table heads takes 7 pixels, the cell 16 beside.
#[test]
fn no_head_of_a_column_is_cut() {
    for (file, panel) in panels().iter().filter(|(_, panel)| panel["type"] == "table") {
        for field in array(&panel["fieldConfig"]["overrides"]) {
            let name = string(&field["matcher"]["options"]);
            let width = property(field, "custom.width").or(property(field, "custom.minWidth"));
            let width = width.and_then(Value::as_u64).unwrap();
            assert!(7 * name.len() as u64 + 16 <= width, "{file}: {name} in {width}");
        }
    }
}

#[test]
fn a_table_shows_ten_rows() {
    // 36 pixels a row and for the head, 32 for the title, 18 around; 30 a grid unit and 8 between.
    for (file, panel) in panels().iter().filter(|(_, panel)| panel["type"] == "table") {
        if string(&panel["targets"][0]["rawSql"]).contains("LIMIT 10\n") {
            let h = panel["gridPos"]["h"].as_u64().unwrap();
            assert!(h * 30 + (h - 1) * 8 >= 11 * 36 + 32 + 18, "{file}: {}", panel["title"]);
        }
    }
}

#[test]
fn nothing_is_said_in_place_of_a_value() {
    for (file, panel) in panels() {
        let none = &panel["fieldConfig"]["defaults"]["noValue"];
        match string(&panel["type"]) {
            "table" => assert!(
                none.is_null() && !panel["fieldConfig"].to_string().contains("noValue"),
                "{file}"
            ),
            // Shown where there is no row at all.
            "timeseries" => {
                assert!(string(none).contains(" range") || string(none).contains("range"), "{file}")
            }
            _ => {}
        }
        assert!(!panel.to_string().contains("\"short\""), "{file}: numbers are not shortened");
    }
}

#[test]
fn who_is_chosen_stands_in_quotes_and_what_is_all_time_says_so() {
    for (file, panel) in panels() {
        let sql = string(&panel["targets"][0]["rawSql"]);
        for name in ["$user", "$artist", "$genre"] {
            assert_eq!(
                sql.matches(name).count(),
                sql.matches(&format!("'{name}'")).count(),
                "{file}: {sql}"
            );
        }
        assert!(!sql.contains("${"), "{file}: {sql}");
        let title = string(&panel["title"]);
        let of_the_range = sql.contains("$__time");
        let says = title.contains("· ")
            || ["Access", "User $user", "Stored for $user", "For $user now"].contains(&title);
        assert!(of_the_range != says, "{file}: {title}");
    }
}

#[test]
fn links_lead_to_boards_and_variables_that_there_are() {
    let boards = boards();
    for (file, panel) in panels() {
        for field in array(&panel["fieldConfig"]["overrides"]) {
            for link in property(field, "links").map(array).unwrap_or_default() {
                let url = string(&link["url"]);
                let (uid, rest) =
                    url.strip_prefix("/d/").and_then(|u| u.split_once('?')).expect(url);
                let (_, board) = boards.iter().find(|(_, b)| b["uid"] == uid).expect(uid);
                let variable =
                    rest.split_once("&var-").and_then(|(_, v)| v.split_once('=')).expect(url).0;
                assert!(
                    array(&board["templating"]["list"]).iter().any(|v| v["name"] == variable),
                    "{file}: {url}"
                );
            }
        }
    }
}
