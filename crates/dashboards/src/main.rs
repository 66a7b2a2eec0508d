//! Writes the dashboards into `dashboards/boards`.

use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = sparkify_dashboards::folder();
    fs::create_dir_all(&folder)?;
    for (file, board) in sparkify_dashboards::boards() {
        fs::write(folder.join(file), sparkify_dashboards::text(&board)?)?;
    }
    Ok(())
}
