//! What AWS tells of the target, and what that means. Where it refuses to tell, that stays unknown: the
//! check goes on, and the line is printed that looks it up.

use crate::commands::Finding;
use crate::error::Error;
use crate::wire::Conninfo;

use super::super::aws::target::{Backups, Instance, Provider, Source, Storage};
use super::super::clock;
use super::Preflight;
use super::endpoint::EndpointKind;
use super::look_ups::{GROUPS, Topic};
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

/// Asks for everything, and adds what it means to what was found. `now` is in seconds since 1970.
pub(super) async fn ask(target: &Conninfo, now: f64, found: &mut Preflight) {
    let endpoint = found.endpoint.clone();
    let is_cluster = endpoint.kind.is_clusters();
    let Some(name) = &endpoint.identifier else { return };
    if !is_cluster && endpoint.kind != EndpointKind::Instance {
        return;
    }
    let provider = match Provider::open(endpoint.region.as_deref()).await {
        Ok(provider) => provider,
        Err(error) => return found.unknown(Topic::Instances, &error),
    };
    let instances = match provider.instances(name, is_cluster).await {
        Ok(instances) if instances.is_empty() => {
            let what = format!("AWS knows no instance of {name} in this region and account");
            let finding = Finding::note("provider's API", what);
            return found.findings.push(finding.mend("check whose AWS credentials these are"));
        }
        Ok(instances) => instances,
        Err(error) => return found.unknown(Topic::Instances, &error),
    };
    let is_public = instances.iter().any(|instance| instance.is_public);
    found.public = if is_public { "yes" } else { "no" };
    found.answered(Topic::Instances, instances.iter().map(described));
    found.findings.extend(instances.iter().flat_map(judge_instance));
    let job = Job::of(now, found.bytes());

    if is_cluster {
        match provider.cluster(name).await {
            Ok(Some(cluster)) => {
                let windows = described_windows(&cluster.backups, &cluster.maintenance);
                found.answered(Topic::Windows, [windows]);
                let object = format!("cluster {name}");
                if !cluster.is_multi_az {
                    found.findings.push(in_one_zone(&object, "add a reader in another zone"));
                }
                found.findings.extend(judge_backups(&object, &cluster.backups));
                found.findings.extend(job.meets(&object, "maintenance", &cluster.maintenance));
            }
            Ok(None) => {}
            Err(error) => found.unknown(Topic::Windows, &error),
        }
        for instance in &instances {
            let object = format!("instance {}", instance.name);
            found.findings.extend(job.meets(&object, "maintenance", &instance.maintenance));
        }
    } else if let [instance] = instances.as_slice() {
        let windows = described_windows(&instance.backups, &instance.maintenance);
        found.answered(Topic::Windows, [windows]);
        let object = format!("instance {name}");
        found.findings.extend(judge_backups(&object, &instance.backups));
        found.findings.extend(job.meets(&object, "maintenance", &instance.maintenance));
        if instance.backups.days > 0 {
            found.findings.extend(job.meets(&object, "backup", &instance.backups.window));
        }
        let hour = (clock::text(now - 3600.0), clock::text(now));
        match provider.free_bytes(name, (&hour.0, &hour.1)).await {
            Ok(Some(free)) => {
                found.answered(Topic::FreeStorage, [format!("{} are free", gib(free))]);
                found.findings.extend(judge_room(&object, &instance.storage, free, found.bytes()));
            }
            // An instance that is new hasn't been measured yet.
            Ok(None) => {}
            Err(error) => found.unknown(Topic::FreeStorage, &error),
        }
    }

    let mut groups: Vec<String> = instances.into_iter().flat_map(|it| it.groups).collect();
    groups.sort();
    groups.dedup();
    if let Some(look_up) = found.look_ups.iter_mut().find(|it| it.topic == Topic::SecurityGroups) {
        look_up.command = look_up.command.replace(GROUPS, &groups.join(" "));
    }
    if groups.is_empty() {
        // Without names, those of everybody would be told.
        return;
    }
    let port = target.host_and_port().map_or(5432, |(_, port)| port);
    match provider.sources(&groups, port).await {
        Ok(sources) => {
            let lines = sources.iter().map(|it| format!("{} lets in {}", it.group, it.from));
            found.answered(Topic::SecurityGroups, lines);
            found.findings.extend(judge_sources(&sources, port, is_public));
        }
        Err(error) => found.unknown(Topic::SecurityGroups, &error),
    }
}

impl Preflight {
    fn answered(&mut self, topic: Topic, lines: impl IntoIterator<Item = String>) {
        let lines: Vec<String> = lines.into_iter().collect();
        let answer = if lines.is_empty() { "nothing".to_owned() } else { lines.join("\n") };
        if let Some(look_up) = self.look_ups.iter_mut().find(|look_up| look_up.topic == topic) {
            look_up.answer = Some(answer);
        }
    }

    fn unknown(&mut self, topic: Topic, error: &Error) {
        let what = format!("unknown: {}", error.message());
        let look_up = self.look_ups.iter().find(|look_up| look_up.topic == topic);
        let line = look_up.map(|look_up| format!("or look it up: {}", look_up.command));
        let remedy = [error.hint_text().map(str::to_owned), line];
        let remedy = remedy.into_iter().flatten().collect::<Vec<_>>().join("\n");
        let object = match topic {
            Topic::Instances => "provider's API",
            Topic::Windows => "backups and maintenance",
            Topic::SecurityGroups => "security groups",
            Topic::FreeStorage => "free storage",
        };
        self.findings.push(Finding::note(object, what).mend(remedy));
    }
}

/// What is to happen, as far as it can be told now.
struct Job {
    /// In minutes since 1970.
    now: i64,
    /// In minutes; none where it isn't known how much there is.
    takes: Option<i64>,
}

impl Job {
    fn of(now: f64, bytes: i64) -> Job {
        let takes = (bytes > 0).then(|| MINUTES_AT_LEAST + bytes / BYTES_A_MINUTE);
        #[expect(clippy::cast_possible_truncation, reason = "a time that a clock told")]
        let now = (now / 60.0) as i64;
        Job { now, takes }
    }

    /// Whether a job that begins now meets a window.
    fn meets(&self, object: &str, which: &str, window: &str) -> Option<Finding> {
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

fn judge_instance(instance: &Instance) -> Vec<Finding> {
    let Instance { name, is_public, is_multi_az, storage, .. } = instance;
    let object = format!("instance {name}");
    let modify =
        |what: &str| format!("aws rds modify-db-instance --db-instance-identifier {name} {what}");
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

fn in_one_zone(object: &str, remedy: &str) -> Finding {
    let what = "isn't Multi-AZ: while its zone is down, nobody signs in";
    Finding::note(object, what).mend(remedy)
}

fn judge_backups(object: &str, backups: &Backups) -> Option<Finding> {
    let what = match backups.days {
        0 => "has no automated backups".to_owned(),
        days if days < DAYS => format!("keeps its automated backups for {} only", in_days(days)),
        _ => return None,
    };
    let remedy = format!("keep them for {DAYS} days at least: --backup-retention-period {DAYS}");
    Some(Finding::note(object, what).mend(remedy))
}

/// Indexes are sorted on the same disk, and the log of what was copied lies there for a while.
fn judge_room(object: &str, storage: &Storage, free: i64, bytes: i64) -> Option<Finding> {
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

fn judge_sources(sources: &[Source], port: u16, is_public: bool) -> Vec<Finding> {
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

fn described(instance: &Instance) -> String {
    let Instance { name, class, is_public, is_multi_az, storage, groups, .. } = instance;
    let mut words =
        vec![(if *is_public { "public" } else { "not public" }).to_owned(), class.clone()];
    if storage.is_aurora() {
        words.push("storage that grows by itself".to_owned());
    } else {
        words.push((if *is_multi_az { "Multi-AZ" } else { "one zone" }).to_owned());
        words.push(format!("{} of {} GiB", storage.kind, storage.gib));
        words.extend(storage.grows_to_gib.map(|most| format!("which grows to {most}")));
        words.extend(storage.iops.map(|iops| format!("{iops} IOPS")));
    }
    words.push(format!("security groups {}", groups.join(" ")));
    format!("{name}: {}", words.join(", "))
}

fn described_windows(Backups { days, window }: &Backups, maintenance: &str) -> String {
    let backups = match days {
        0 => "no automated backups".to_owned(),
        _ => format!("backups kept for {}, made {window}", in_days(*days)),
    };
    format!("{backups}; maintenance {maintenance} (UTC)")
}

fn in_days(days: i64) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn gib(bytes: i64) -> String {
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
        let found = judge_instance(&instance);
        assert_eq!(found[0].severity, Severity::Refusal);
        let rest: Vec<&str> = found[1..].iter().map(|finding| finding.what.as_str()).collect();
        assert!(rest[0].contains("isn't Multi-AZ") && rest[1].contains("300 IOPS"), "{rest:?}");
        instance.storage.kind = "aurora".to_owned();
        assert_eq!(judge_instance(&instance).len(), 1);
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
    fn a_job_of_unknown_size_meets_no_window() {
        let open = "00:00-23:59";
        assert_eq!(Job::of(1_800_000_000.0, 0).meets("x", "backup", open), None);
        let finding = Job::of(1_800_000_000.0, 6000 << 20).meets("x", "backup", open).unwrap();
        assert!(
            finding.what.contains("is open now, and the move may take 25 minutes"),
            "{finding}"
        );
    }
}
