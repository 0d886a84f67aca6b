//! The `pgconvoy` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    let code = pgconvoy::cli::run();
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}
