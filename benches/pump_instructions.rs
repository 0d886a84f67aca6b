//! The gate on the data plane's costs: the processor instructions that a row takes, counted by
//! valgrind, which are the same on every machine and however busy it is. `cargo bench --bench
//! pump_instructions` fails where a bound is passed.
#![expect(clippy::print_stdout, reason = "it says what it counted")]

mod peer;

use std::env;
use std::process::{Command, ExitCode, Stdio};

use peer::Rows;

/// Bytes of a row, rows, and how many instructions each may take: a tenth above what was counted
/// when the bound was set.
const BOUNDS: [(usize, usize, usize); 3] =
    [(20, 200_000, 260), (120, 100_000, 540), (8 << 10, 10_000, 24_000)];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "--copy", port] => copy(port.parse().expect("our own port")),
        _ => judge(),
    }
}

/// What is counted.
fn copy(port: u16) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (mut source, mut target) = (peer::connect(port).await, peer::connect(port).await);
        peer::copy(&mut source, &mut target).await;
    });
    ExitCode::SUCCESS
}

fn judge() -> ExitCode {
    let mut within = true;
    for (width, count, bound) in BOUNDS {
        let instructions = |count| instructions(Rows { count, width });
        // Twice as many rows against as many: the start costs both the same.
        let each = (instructions(2 * count) - instructions(count)) / count;
        let verdict = if each <= bound { "within" } else { "above" };
        println!("a row of {width} bytes: {each} instructions, {verdict} the bound of {bound}");
        within &= each <= bound;
    }
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn instructions(rows: Rows) -> usize {
    let (port, _serving) = peer::serve(rows).expect("a free port");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(env::current_exe().expect("our own program")).args(["--copy", &port.to_string()]);
    let output = command.stdin(Stdio::null()).output();
    let output = output.expect("valgrind counts the instructions: apt-get install valgrind");
    let told = String::from_utf8_lossy(&output.stderr);
    let counted = told.lines().find_map(|line| line.split_once("Collected : "));
    let number = counted.and_then(|(_, number)| number.trim().parse().ok());
    number.unwrap_or_else(|| panic!("valgrind counted nothing:\n{told}"))
}
