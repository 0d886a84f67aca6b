//! A network with a delay in it: a namespace of our own, in which this very command runs again.
//! Its servers are on its loopback, where every packet waits; the source is reached by a socket,
//! so that only the target is far away. The kernel removes the namespace with its last process.

use std::time::Duration;

use tokio::process::Command;

use crate::error::{Error, Result};

/// Set for the copy of ourselves inside.
const INSIDE: &str = "PGCONVOY_BENCH_INSIDE";

/// A round trip's packets pass the loopback's queue twice. The queue holds as many packets as a
/// load sends meanwhile, as otherwise some would be lost.
const SET_UP: &str = "ip link set lo up && \
    tc qdisc add dev lo root netem delay \"$0\"us limit 100000 && exec \"$@\"";

/// Whether the network already is the delayed one.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this command again in a network where a round trip takes so long.
pub async fn run_inside(round_trip: Duration) -> Result<()> {
    let doing = "running in a network with a delay";
    if !cfg!(target_os = "linux") {
        return Err(Error::usage(doing).because("only Linux has network namespaces"));
    }
    let itself = std::env::current_exe().map_err(|error| Error::step(doing).io(error))?;
    let one_way = (round_trip / 2).as_micros().to_string();
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", SET_UP, &one_way]).arg(itself);
    command.args(std::env::args_os().skip(1)).env(INSIDE, "yes").kill_on_drop(true);
    let hint = "it takes root, and the programs unshare, ip and tc (apt-get install util-linux \
                iproute2)";
    let status = command.status().await.map_err(|error| Error::step(doing).io(error).hint(hint))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::step(doing).because(format!("it ended with {status}")).hint(hint)),
    }
}
