//! Numbers in JSON, read from the server's own form of it.
//!
//! Nothing is printed and parsed: what a row holds beside the numbers, however deep or long,
//! is passed over, and a number that no `double precision` can hold is left out.
#![expect(unsafe_code, reason = "the server's JSON is walked through a C interface")]

use std::collections::BTreeMap;

use pgrx::pg_sys;
use pgrx::pg_sys::{JsonbIteratorToken as token, jbvType as kind};

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
