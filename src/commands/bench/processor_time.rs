//! Processor time of the clients and of both servers, as Linux accounts it; elsewhere it isn't
//! known.

use super::ends::Ends;

/// Seconds of processor time up to now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProcessorTime {
    /// Of the client programs that have ended.
    pub(super) clients: Option<f64>,
    pub(super) source: Option<f64>,
    pub(super) target: Option<f64>,
}

impl ProcessorTime {
    pub(super) fn read(ends: &Ends<'_>) -> ProcessorTime {
        let (source, target) = ends.server_processes;
        ProcessorTime {
            clients: linux::Process::read(std::process::id()).map(|us| us.ended_children),
            source: linux::server(source),
            target: linux::server(target),
        }
    }
}

/// /proc (documentation: proc_pid_stat(5)); there is none elsewhere, and then nothing is found.
mod linux {
    /// The unit of /proc's times, whatever the kernel's own clock does.
    const TICKS_PER_SECOND: f64 = 100.0;

    pub(super) struct Process {
        parent: u32,
        own: f64,
        pub(super) ended_children: f64,
    }

    impl Process {
        pub(super) fn read(pid: u32) -> Option<Process> {
            Process::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
        }

        /// The name may hold spaces and parentheses: the fields begin behind the last one.
        pub(super) fn parse(stat: &str) -> Option<Process> {
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let seconds = |at: usize| -> Option<f64> {
                Some(fields.get(at)?.parse::<f64>().ok()? / TICKS_PER_SECOND)
            };
            Some(Process {
                parent: fields.get(1)?.parse().ok()?,
                own: seconds(11)? + seconds(12)?,
                ended_children: seconds(13)? + seconds(14)?,
            })
        }
    }

    /// All processes of the server that `process` belongs to, those that have ended included.
    pub(super) fn server(process: i32) -> Option<f64> {
        let postmaster = Process::read(u32::try_from(process).ok()?)?.parent;
        let itself = Process::read(postmaster)?;
        let mut sum = itself.own + itself.ended_children;
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let pid: Option<u32> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            // A process may end in between: then its parent counts it the next time.
            if let Some(child) = pid.and_then(Process::read).filter(|p| p.parent == postmaster) {
                sum += child.own + child.ended_children;
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::linux::Process;

    #[test]
    fn a_name_with_spaces_and_parentheses_hides_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 200 100 20 0 1 0 9";
        let process = Process::parse(stat).unwrap();
        assert!((process.ended_children - 3.0).abs() < 1e-9);
    }
}
