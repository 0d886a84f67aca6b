//! (room copy)
