//! The packed vectors of a model, kept by each backend.
//!
//! The key is the database and the model's fingerprint, which the caller reads
//! from the table at each call: which vectors a query sees is decided by its
//! snapshot alone. Privileges are checked on a hit as well.
#![expect(unsafe_code, reason = "the server's privilege check is a C interface")]

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::{PgSqlErrorCode, pg_sys};
use sparkify_core::rank::{AlignedBytes, Index, IndexBuilder};

use super::models::Model;
use super::spi;
use crate::error::{or_raise, raise};

/// Models kept at a time: the one that serves and one beside it.
const KEPT: usize = 2;

/// A model's packed vectors.
pub struct Packed {
    database: u32,
    image: AlignedBytes,
}

impl Packed {
    /// The index over the vectors.
    pub fn index(&self) -> Index<'_> {
        or_raise(Index::open(&self.image))
    }
}

thread_local! {
    /// Least recently used first.
    static CACHE: RefCell<Vec<(u128, Rc<Packed>)>> = const { RefCell::new(Vec::new()) };
}

/// The packed vectors of a model, built where this backend has not got them.
pub fn load(model: &Model) -> Rc<Packed> {
    let private = check_privileges();
    // SAFETY: a variable of the backend, set when it started.
    let database = u32::from(unsafe { pg_sys::MyDatabaseId });
    if !private {
        let hit = CACHE.with_borrow_mut(|cache| {
            let at = cache
                .iter()
                .position(|(key, kept)| *key == model.fingerprint && kept.database == database)?;
            let entry = cache.remove(at);
            let packed = Rc::clone(&entry.1);
            cache.push(entry);
            Some(packed)
        });
        if let Some(packed) = hit {
            return packed;
        }
    }
    let packed = Rc::new(Packed { database, image: build(model) });
    if !private {
        CACHE.with_borrow_mut(|cache| {
            if cache.len() >= KEPT {
                cache.remove(0);
            }
            cache.push((model.fingerprint, Rc::clone(&packed)));
        });
    }
    packed
}

/// Raises where the caller may not read the embeddings; true where row-level
/// security makes what is read the caller's own.
fn check_privileges() -> bool {
    // SAFETY: catalogue look-ups in a transaction.
    let (allowed, rls) = unsafe {
        let schema = pg_sys::get_namespace_oid(c"sparkify".as_ptr(), false);
        let table = pg_sys::get_relname_relid(c"track_embeddings".as_ptr(), schema);
        let allowed =
            pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), pg_sys::ACL_SELECT as _);
        (allowed, pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true))
    };
    if allowed != pg_sys::AclResult::ACLCHECK_OK {
        raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "permission denied for table track_embeddings",
            Some("Ask its owner to GRANT SELECT."),
        );
    }
    rls != pg_sys::CheckEnableRlsResult::RLS_NONE as i32
}

fn build(model: &Model) -> AlignedBytes {
    let mut builder: Option<IndexBuilder> = None;
    let mut embedding = Vec::new();
    spi::select_streaming(
        "SELECT track_id, embedding, song_key, duration_ms FROM sparkify.track_embeddings \
         WHERE model_id = $1 ORDER BY track_id",
        &[model.model_id.into()],
        false,
        |row| {
            let track_id = row.text(0).unwrap_or_default();
            let readable = row.reals_into(1, &mut embedding);
            let into = match &mut builder {
                Some(builder) => builder,
                None => builder.insert(or_raise(IndexBuilder::new(embedding.len().max(1)))),
            };
            let song = row.uuid(2).unwrap_or_default();
            let pushed = if readable {
                into.push(track_id, &embedding, song, row.i32(3)).err()
            } else {
                None
            };
            if !readable || pushed.is_some() {
                raise(
                    PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                    format!(
                        "the embedding of track \"{track_id}\" of model {} cannot be used: {}",
                        model.model_id,
                        pushed.map_or("it is not a plain array".to_owned(), |e| e.to_string())
                    ),
                    Some("Run SELECT * FROM sparkify.validate(), and build the model anew."),
                );
            }
        },
    );
    let Some(builder) = builder else {
        raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("model {} has no embeddings", model.model_id),
            Some("Run SELECT sparkify.build_embeddings()."),
        )
    };
    or_raise(builder.finish(model.fingerprint, &crate::api::interrupt))
}
