//! What AWS's word means for the move.

use crate::commands::Finding;

use super::super::super::aws::target::{Backups, Instance, Source, Storage};
use super::windows::Window;

const GIB: i64 = 1 << 30;
/// A move is slower than this only where something is wrong.
const BYTES_A_MINUTE: i64 = 600 << 20;
/// What a move takes besides.
const MINUTES_AT_LEAST: i64 = 15;
/// For how many days backups are kept at least.
const DAYS: i64 = 7;
/// A smaller gp2 volume does less than 1000 IOPS, 3 for each GiB, once its credits are spent (Amazon EBS
/// User Guide, "General Purpose SSD volumes").
const GP2_GIB: i64 = 334;

/// What is to happen, as far as it can be told now.
pub(super) struct Job {
    /// In minutes since 1970.
    now: i64,
    /// In minutes; none where it isn't known how much there is.
    takes: Option<i64>,
}

impl Job {
    /// `rehearsed` is how long it took then, in minutes; else so many bytes tell.
    pub(super) fn of(now: f64, rehearsed: Option<i64>, bytes: i64) -> Job {
        let guessed = (bytes > 0).then(|| MINUTES_AT_LEAST + bytes / BYTES_A_MINUTE);
        let takes = rehearsed.or(guessed);
        #[expect(clippy::cast_possible_truncation, reason = "a time that a clock told")]
        let now = (now / 60.0) as i64;
        Job { now, takes }
    }

    /// Whether a job that begins now meets a window.
    pub(super) fn meets(&self, object: &str, which: &str, window: &str) -> Option<Finding> {
        let takes = self.takes?;
        let when = match Window::read(window)?.meets(self.now, takes)? {
            0 => "is open now".to_owned(),
            minutes => format!("opens in {minutes} minutes"),
        };
        let what = format!(
            "its {which} window, {window} (UTC), {when}, and the move may take {takes} minutes"
        );
        Some(Finding::note(object, what).mend("move after it, or shift the window for that day"))
    }
}

pub(super) fn judge_instance(instance: &Instance, region: &str) -> Vec<Finding> {
    let Instance { name, is_public, is_multi_az, storage, .. } = instance;
    let object = format!("instance {name}");
    let modify = |what: &str| {
        format!(
            "aws rds modify-db-instance --region {region} --db-instance-identifier {name} {what}"
        )
    };
    let mut found = Vec::new();
    if *is_public {
        let what = "is public: its name leads the whole internet to it";
        let remedy = modify("--no-publicly-accessible --apply-immediately");
        found.push(Finding::refusal(&object, what).mend(remedy));
    }
    if storage.is_aurora() {
        return found;
    }
    if !is_multi_az {
        found.push(in_one_zone(&object, &modify("--multi-az --apply-immediately")));
    }
    let slow = match storage.kind.as_str() {
        "standard" => Some("has magnetic storage".to_owned()),
        "gp2" if storage.gib < GP2_GIB => Some(format!(
            "has gp2 storage of {} GiB, which a long copy slows to {} IOPS",
            storage.gib,
            (3 * storage.gib).max(100)
        )),
        _ => None,
    };
    let remedy = modify("--storage-type gp3 --apply-immediately");
    found.extend(slow.map(|what| Finding::note(&object, what).mend(remedy)));
    found
}

pub(super) fn in_one_zone(object: &str, remedy: &str) -> Finding {
    let what = "isn't Multi-AZ: while its zone is down, nobody signs in";
    Finding::note(object, what).mend(remedy)
}

pub(super) fn judge_backups(object: &str, backups: &Backups) -> Option<Finding> {
    let what = match backups.days {
        0 => "has no automated backups".to_owned(),
        days if days < DAYS => format!("keeps its automated backups for {} only", in_days(days)),
        _ => return None,
    };
    let remedy = format!("keep them for {DAYS} days at least: --backup-retention-period {DAYS}");
    Some(Finding::note(object, what).mend(remedy))
}

/// Indexes are sorted on the same disk, and the log of what was copied lies there for a while.
pub(super) fn judge_room(
    object: &str,
    storage: &Storage,
    free: i64,
    bytes: i64,
) -> Option<Finding> {
    if storage.is_aurora() {
        return None;
    }
    let may_grow = storage.grows_to_gib.map_or(0, |most| (most - storage.gib).max(0)) * GIB;
    let what = format!("has {} free, and the databases take {}", gib(free), gib(bytes));
    let wanted = (bytes + bytes / 2) / GIB + 1;
    let remedy = format!("give it {wanted} GiB of free storage before the move");
    match (free < bytes, free + may_grow < bytes) {
        (true, true) => Some(Finding::refusal(object, what).mend(remedy)),
        (true, false) => {
            let what = format!("{what}: it grows by itself, but hardly as fast as rows come");
            Some(Finding::note(object, what).mend(remedy))
        }
        (false, _) if free < bytes + bytes / 2 => {
            let what = format!("{what}: indexes and the log take room, too");
            Some(Finding::note(object, what).mend(remedy))
        }
        (false, _) => None,
    }
}

pub(super) fn judge_sources(sources: &[Source], port: u16, is_public: bool) -> Vec<Finding> {
    let open = sources.iter().filter(|source| matches!(source.from.as_str(), "0.0.0.0/0" | "::/0"));
    let judged = open.map(|Source { group, from }| {
        let object = format!("security group {group}");
        let what = format!("lets everybody in to port {port} ({from})");
        let finding = match is_public {
            true => Finding::refusal(object, what),
            false => Finding::note(object, format!("{what} who can reach its network")),
        };
        finding.mend("let in the services' hosts only, and take that rule out")
    });
    judged.collect()
}

pub(super) fn in_days(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

pub(super) fn gib(bytes: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a number for people")]
    let gib = bytes as f64 / GIB as f64;
    format!("{gib:.1} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Severity;

    #[test]
    fn a_public_instance_is_refused_and_one_zone_is_told() {
        let mut instance = Instance { is_public: true, ..Instance::default() };
        instance.storage.kind = "gp2".to_owned();
        instance.storage.gib = 100;
        let found = judge_instance(&instance, "eu-west-2");
        assert_eq!(found[0].severity, Severity::Refusal);
        let rest: Vec<&str> = found[1..].iter().map(|finding| finding.what.as_str()).collect();
        assert!(rest[0].contains("isn't Multi-AZ") && rest[1].contains("300 IOPS"), "{rest:?}");
        instance.storage.kind = "aurora".to_owned();
        assert_eq!(judge_instance(&instance, "eu-west-2").len(), 1);
    }

    #[test]
    fn room_is_held_against_what_is_to_come() {
        let fixed = Storage { kind: "gp3".to_owned(), gib: 100, ..Storage::default() };
        let growing = Storage { grows_to_gib: Some(500), ..fixed.clone() };
        let severity = |storage: &Storage, free: i64| {
            judge_room("x", storage, free * GIB, 50 * GIB).map(|finding| finding.severity)
        };
        assert_eq!(severity(&fixed, 49), Some(Severity::Refusal));
        assert_eq!(severity(&growing, 49), Some(Severity::Note));
        assert_eq!(severity(&fixed, 60), Some(Severity::Note));
        assert_eq!(severity(&fixed, 75), None);
        assert_eq!(judge_room("x", &fixed, 0, 0), None, "nothing is known of the source");
    }

    #[test]
    fn everybody_is_let_in_by_a_rule_for_all_addresses_only() {
        let source = |from: &str| Source { group: "sg-1".to_owned(), from: from.to_owned() };
        let all = [source("10.0.0.0/8"), source("::/0"), source("sg-2")];
        let found = judge_sources(&all, 5432, false);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Note));
        assert_eq!(judge_sources(&all, 5432, true)[0].severity, Severity::Refusal);
    }

    #[test]
    fn what_a_rehearsal_took_tells_which_window_a_job_meets_and_else_its_size() {
        let open = "00:00-23:59";
        assert_eq!(Job::of(1_800_000_000.0, None, 0).meets("x", "backup", open), None);
        for (rehearsed, minutes) in [(None, 25), (Some(7), 7)] {
            let job = Job::of(1_800_000_000.0, rehearsed, 6000 << 20);
            let finding = job.meets("x", "backup", open).unwrap();
            let words = format!("is open now, and the move may take {minutes} minutes");
            assert!(finding.what.contains(&words), "{finding}");
        }
    }
}
