//! What the planner asks before a call: how many rows will come.
#![expect(unsafe_code, reason = "the planner passes its nodes by address")]

use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

/// Support function: as many rows as `n`, the second argument, where it is known.
#[pg_extern(schema = "sparkify_internal", immutable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn estimate_rows(request: Internal) -> Internal {
    // SAFETY: the planner passes a node of its own.
    let node = request.unwrap().map(|datum| datum.cast_mut_ptr::<pg_sys::Node>());
    // SAFETY: as above.
    let answered = node.filter(|&node| unsafe { answer(node) });
    // No answer is a null pointer, not an SQL NULL.
    Internal::from(Some(pg_sys::Datum::from(answered.map_or(0, |node| node.addr()))))
}

/// Whether the request could be answered.
///
/// # Safety
/// `request` is a node.
unsafe fn answer(request: *mut pg_sys::Node) -> bool {
    // SAFETY: a node is of the type that its tag says, and so are the nodes below it.
    unsafe {
        if !pgrx::is_a(request, pg_sys::NodeTag::T_SupportRequestRows) {
            return false;
        }
        let request = request.cast::<pg_sys::SupportRequestRows>();
        if !pgrx::is_a((*request).node, pg_sys::NodeTag::T_FuncExpr) {
            return false;
        }
        let arguments = (*(*request).node.cast::<pg_sys::FuncExpr>()).args;
        if arguments.is_null() || (*arguments).length < 2 {
            return false;
        }
        let n: *mut pg_sys::Node = (*(*arguments).elements.add(1)).ptr_value.cast();
        if !pgrx::is_a(n, pg_sys::NodeTag::T_Const) {
            return false;
        }
        let n = *n.cast::<pg_sys::Const>();
        if n.constisnull || n.consttype != pg_sys::INT4OID {
            return false;
        }
        (*request).rows = f64::from(n.constvalue.value() as i32).clamp(1.0, 1000.0);
        true
    }
}
