//! (room servers)
