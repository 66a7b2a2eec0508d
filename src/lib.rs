//! Sparkify: a music recommendation pipeline that is a PostgreSQL extension.

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

mod api;
mod storage;
