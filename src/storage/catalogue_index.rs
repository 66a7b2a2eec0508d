//! The packed vectors of a model: one image for all backends, mapped by each.
//!
//! The key is the database and the model's fingerprint, which the caller reads
//! from the table at each call: which vectors a query sees is decided by its
//! snapshot alone. Privileges are checked on a hit as well. Where row-level
//! security decides what a caller reads, or no file can be written, the image is
//! the backend's own. An image is checked whole when a backend maps it first.
#![expect(unsafe_code, reason = "the server's privilege check is a C interface")]

use std::cell::RefCell;
use std::rc::Rc;

use memmap2::Mmap;
use pgrx::{PgSqlErrorCode, pg_sys};
use sparkify_core::rank::{AlignedBytes, Index};
use sparkify_learn::State;

use super::models::Model;
use super::{packing, shared_image, spi};
use crate::error::{or_raise, raise};

/// Models kept at a time: the one that serves and one beside it.
const KEPT: usize = 2;

/// Where an image lies.
enum Image {
    /// In a file that all backends map.
    Shared(Mmap),
    /// In this backend's memory.
    Private(AlignedBytes),
}

/// A model's packed vectors, and what else it needs to serve.
pub struct Packed {
    image: Image,
    state: Option<State>,
}

impl Packed {
    fn new(image: Image) -> Packed {
        let packed = Packed { image, state: None };
        let state = packed.index().state();
        let state = (!state.is_empty()).then(|| or_raise(State::from_words(state)));
        Packed { state, ..packed }
    }

    /// The index over the vectors.
    pub fn index(&self) -> Index<'_> {
        or_raise(Index::open(match &self.image {
            Image::Shared(image) => image,
            Image::Private(image) => image,
        }))
    }

    /// How a model of plays folds users in; `None` for any other.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
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

fn keep(key: Key, packed: &Rc<Packed>) {
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= KEPT {
            cache.remove(0);
        }
        cache.push((key, Rc::clone(packed)));
    });
}

fn key(model: &Model) -> Key {
    // SAFETY: a variable of the backend, set when it started.
    (u32::from(unsafe { pg_sys::MyDatabaseId }), model.fingerprint)
}

/// The packed vectors of a model, built where no backend has got them.
pub fn load(model: &Model) -> Rc<Packed> {
    let private = check_privileges();
    if private {
        return Rc::new(Packed::new(Image::Private(packing::build(model))));
    }
    let key = key(model);
    if let Some(packed) = cached(key) {
        return packed;
    }
    let packed = Rc::new(Packed::new(shared(key).unwrap_or_else(|| build_once(key, model))));
    keep(key, &packed);
    packed
}

/// Packs the vectors of a model before anybody asks for them; where it has none, or
/// each caller sees other ones, nothing.
pub fn prepare(model: &Model) {
    if !check_privileges() && packing::has_embeddings(model) {
        spi::under_new_snapshot(|| load(model));
    }
}

/// The image that a backend has published, unless its file is damaged.
fn shared((database, fingerprint): Key) -> Option<Image> {
    let image = shared_image::map(database, fingerprint)?;
    let index = Index::open(&image).ok().filter(|index| index.fingerprint() == fingerprint)?;
    if let Err(error) = index.verify() {
        pgrx::warning!("sparkify: packed vectors are damaged and built anew: {error}");
        return None;
    }
    Some(Image::Shared(image))
}

/// Builds and publishes the image, unless another backend is at it, or has been.
fn build_once(key: Key, model: &Model) -> Image {
    let (database, fingerprint) = key;
    let unshared = |error| {
        pgrx::log!("sparkify: cannot share packed vectors between backends: {error}");
    };
    let turn = match shared_image::take_turn(database, fingerprint, || shared(key)) {
        Ok(Err(image)) => return image,
        Ok(Ok(turn)) => Some(turn),
        Err(error) => {
            unshared(error);
            None
        }
    };
    pgrx::debug1!("sparkify: packs the vectors of model {}", model.model_id);
    let image = packing::build(model);
    let Some(turn) = turn else { return Image::Private(image) };
    match shared_image::publish(&turn, database, fingerprint, &image) {
        Ok(shared) => Image::Shared(shared),
        Err(error) => {
            unshared(error);
            Image::Private(image)
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
