//! What Tidegate answers over HTTP.
//!
//! Comes in: a listening socket, and what is to be shown on it. Goes out: answers, until somebody says that it is enough.
//! This module must never decide anything, nor change anything that it was not asked to change.

pub mod flink;
