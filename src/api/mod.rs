//! SQL-callable functions, a module per capability: check, load, compute, store.

mod catalogue;
mod embeddings;
mod estimates;
mod explore;
mod history;
mod imported;
mod listener;
mod pipeline;
mod plays;
mod progress;
mod recommend;
mod refresh;
mod simulation;
mod streams;
mod validate;
