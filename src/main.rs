//! The `pgconvoy` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(pgconvoy::cli::run())
}
