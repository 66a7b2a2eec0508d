//! SQL-callable functions, a module per capability: check, load, compute, store.

mod arguments;
mod catalogue;
mod charts;
mod embeddings;
mod estimates;
mod evaluate;
mod explain;
mod explore;
mod history;
mod imported;
mod listener;
mod options;
mod pipeline;
mod plays;
mod progress;
mod recommend;
mod refresh;
mod similar;
mod simulation;
mod streams;
mod train;
mod validate;
