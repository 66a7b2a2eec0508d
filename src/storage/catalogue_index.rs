//! The packed vectors of a model: one image for all backends, mapped by each.
//!
//! The key is the database and the model's fingerprint, which the caller reads
//! from the table at each call: which vectors a query sees is decided by its
//! snapshot alone. Privileges are checked on a hit as well. Where row-level
//! security decides what a caller reads, or no file can be written, the image is
//! the backend's own.
#![expect(unsafe_code, reason = "the server's privilege check is a C interface")]

use std::cell::RefCell;
use std::rc::Rc;

use memmap2::Mmap;
use pgrx::{PgSqlErrorCode, pg_sys};
use sparkify_core::rank::{AlignedBytes, Index, IndexBuilder};

use super::models::Model;
use super::{shared_image, spi};
use crate::error::{or_raise, raise};

/// Models kept at a time: the one that serves and one beside it.
const KEPT: usize = 2;

/// A model's packed vectors.
pub enum Packed {
    /// In a file that all backends map.
    Shared(Mmap),
    /// In this backend's memory.
    Private(AlignedBytes),
}

impl Packed {
    /// The index over the vectors.
    pub fn index(&self) -> Index<'_> {
        or_raise(Index::open(match self {
            Packed::Shared(image) => image,
            Packed::Private(image) => image,
        }))
    }
}

/// Database and fingerprint.
type Key = (u32, u128);

thread_local! {
    /// Least recently used first.
    static CACHE: RefCell<Vec<(Key, Rc<Packed>)>> = const { RefCell::new(Vec::new()) };
}

fn cached(key: Key) -> Option<Rc<Packed>> {
    CACHE.with_borrow_mut(|cache| {
        let at = cache.iter().position(|(kept, _)| *kept == key)?;
        // The one that was used stands last.
        cache[at..].rotate_left(1);
        cache.last().map(|(_, packed)| Rc::clone(packed))
    })
}

/// The packed vectors of a model, built where no backend has got them.
pub fn load(model: &Model) -> Rc<Packed> {
    let private = check_privileges();
    if private {
        return Rc::new(Packed::Private(build(model)));
    }
    // SAFETY: a variable of the backend, set when it started.
    let database = u32::from(unsafe { pg_sys::MyDatabaseId });
    let key = (database, model.fingerprint);
    if let Some(packed) = cached(key) {
        return packed;
    }
    let packed = Rc::new(shared(key).unwrap_or_else(|| publish(key, build(model))));
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= KEPT {
            cache.remove(0);
        }
        cache.push((key, Rc::clone(&packed)));
    });
    packed
}

/// The image that a backend has published, unless its file is not one.
fn shared((database, fingerprint): Key) -> Option<Packed> {
    let image = shared_image::map(database, fingerprint)?;
    let whole = Index::open(&image).is_ok_and(|index| index.fingerprint() == fingerprint);
    whole.then_some(Packed::Shared(image))
}

fn publish((database, fingerprint): Key, image: AlignedBytes) -> Packed {
    match shared_image::publish(database, fingerprint, &image) {
        Ok(shared) => Packed::Shared(shared),
        Err(error) => {
            pgrx::log!("sparkify: cannot share packed vectors between backends: {error}");
            Packed::Private(image)
        }
    }
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
    spi::select(
        "SELECT track_id, embedding, song_key, duration_ms FROM sparkify.track_embeddings \
         WHERE model_id = $1 ORDER BY track_id",
        &[model.model_id.into()],
        |row| {
            let track_id = row.text(0).unwrap_or_default();
            let Some(embedding) = row.reals(1) else {
                raise_unusable(model, track_id, "it is not a plain array")
            };
            let into = match &mut builder {
                Some(builder) => builder,
                None => builder.insert(or_raise(IndexBuilder::new(embedding.len().max(1)))),
            };
            let song = row.uuid(2).unwrap_or_default();
            if let Err(error) = into.push(track_id, embedding, song, row.i32(3)) {
                raise_unusable(model, track_id, error)
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
    or_raise(builder.finish(model.fingerprint, &crate::interrupt::interrupt))
}

fn raise_unusable(model: &Model, track_id: &str, fault: impl std::fmt::Display) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!(
            "the embedding of track \"{track_id}\" of model {} cannot be used: {fault}",
            model.model_id
        ),
        Some("Run SELECT * FROM sparkify.validate(), and build the model anew."),
    )
}
