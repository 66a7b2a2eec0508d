//! Numbers in JSON, read from the server's own form of it.
//!
//! Nothing is printed and parsed: what a row holds beside the numbers, however deep or long,
//! is passed over, and a number that no `double precision` can hold is left out.
#![expect(unsafe_code, reason = "the server's JSON is walked through a C interface")]

use std::collections::BTreeMap;
use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::nullable::Nullable;
use pgrx::pg_sys::{JsonbIteratorToken as token, jbvType as kind};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::error::raise;
use crate::memory;

/// Numbers by name, in byte order; what is not a finite number is left out.
pub type Weights = BTreeMap<String, f64>;

/// The numbers that an object has at its top level; of any other value none.
///
/// # Safety
/// `datum` is a `jsonb` that is not null.
pub unsafe fn weights(datum: pg_sys::Datum) -> Weights {
    let mut weights = Weights::new();
    // SAFETY: a detoasted jsonb begins with the container that the iterator walks; the
    // iterator fills `value` for each token, with the member of the union that its type
    // names, and frees itself at the end.
    unsafe {
        let json: *mut pg_sys::Jsonb = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
        let mut iterator = pg_sys::JsonbIteratorInit(&raw mut (*json).root);
        let mut value = std::mem::zeroed::<pg_sys::JsonbValue>();
        let mut name: Option<String> = None;
        loop {
            let next = pg_sys::JsonbIteratorNext(&raw mut iterator, &raw mut value, true);
            match next {
                token::WJB_DONE => return weights,
                token::WJB_KEY => name = text(&value).map(str::to_owned),
                token::WJB_VALUE => {
                    if let (Some(name), Some(number)) = (name.take(), number(&value)) {
                        weights.insert(name, number);
                    }
                }
                _ => {}
            }
        }
    }
}

/// # Safety
/// `value` was filled by the iterator, which lives.
unsafe fn text(value: &pg_sys::JsonbValue) -> Option<&str> {
    if value.type_ != kind::jbvString {
        return None;
    }
    // SAFETY: a value of that type has this member.
    let bytes = unsafe {
        let string = value.val.string;
        std::slice::from_raw_parts(string.val.cast::<u8>(), string.len as usize)
    };
    std::str::from_utf8(bytes).ok()
}

/// # Safety
/// As for [`text`].
unsafe fn number(value: &pg_sys::JsonbValue) -> Option<f64> {
    if value.type_ != kind::jbvNumeric {
        return None;
    }
    // SAFETY: a value of that type has this member, and the function takes it.
    let number = unsafe {
        let numeric = pg_sys::Datum::from(value.val.numeric.addr());
        pgrx::direct_function_call::<f64>(pg_sys::numeric_float8_no_overflow, &[Some(numeric)])
    };
    number.filter(|number| number.is_finite())
}

/// A `jsonb` argument as its text. What pgrx makes of one panics for numbers and depths that
/// the server takes and the parser does not.
pub struct Document(pub String);

impl Document {
    /// The value, or an error that names the argument.
    pub fn parse(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or_else(|error| {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("{name} cannot be read: {error}"),
                None,
            )
        })
    }
}

impl pgrx::FromDatum for Document {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the datum is a jsonb, which the function takes and prints.
        let text = unsafe {
            let json = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
            let argument = pg_sys::Datum::from(json.addr());
            pgrx::direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(argument)])
        };
        text.and_then(|text| text.to_str().ok()).map(|text| Document(memory::owned(text)))
    }
}

// SAFETY: a jsonb is passed by reference, as `from_datum` reads it.
unsafe impl<'fcx> ArgAbi<'fcx> for Document {
    unsafe fn unbox_arg_unchecked(argument: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller's promise is handed on.
        unsafe { argument.unbox_arg_using_from_datum() }.unwrap_or(Document("null".to_owned()))
    }

    unsafe fn unbox_nullable_arg(argument: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: as above.
        unsafe { argument.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: the type is the server's own.
unsafe impl SqlTranslatable for Document {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Document);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
