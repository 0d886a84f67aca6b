//! The `pgconvoy` binary: everything is in the library.

fn main() {}
