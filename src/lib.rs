//! pgconvoy moves PostgreSQL databases: in parallel, checksummed, resumable after any crash and
//! verified to the last row. ARCHITECTURE.md has the map of the rooms and why they are so.

pub mod catalog;
pub mod cli;
pub mod commands;
pub mod copy;
pub mod engine;
pub mod error;
pub mod pg;
pub mod plan;
pub mod servers;
pub mod toc;
pub mod verify;
pub mod wire;
