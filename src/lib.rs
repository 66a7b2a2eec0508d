//! Sparkify: a music recommendation pipeline that is a PostgreSQL extension.

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

mod api;
mod storage;

extension_sql_file!("../sql/tables.sql", name = "tables", requires = [song_key]);
extension_sql_file!("../sql/triggers.sql", name = "triggers", requires = ["tables"]);
extension_sql_file!("../sql/catalogue.sql", name = "catalogue", requires = ["tables", song_key]);
