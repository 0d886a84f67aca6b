//! What the results were measured on.

use serde::{Deserialize, Serialize};

/// A machine's description: figures without one say little.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The operating system and the processor's architecture.
    pub system: String,
    /// The processor, where it is known.
    pub processor: Option<String>,
    /// How many of its cores may be used.
    pub cores: usize,
    /// Bytes of memory, where it is known.
    pub memory: Option<u64>,
    /// The servers' version.
    pub postgresql: String,
    /// pgconvoy's.
    pub pgconvoy: String,
}

impl Machine {
    pub(super) fn read(postgresql: &str) -> Machine {
        Machine {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.trim_end_matches(" kB").trim().parse::<u64>().ok())
                .map(|kilobytes| kilobytes * 1024),
            postgresql: postgresql.to_owned(),
            pgconvoy: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The first field of this name in one of Linux's files; elsewhere there is no such file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
