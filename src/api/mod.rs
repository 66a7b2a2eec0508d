//! SQL-callable functions, a module per capability: check, load, compute, store.

mod catalogue;
