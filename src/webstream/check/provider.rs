//! What AWS tells of the target, and what that means. Where it refuses to tell, that stays unknown: the
//! check goes on, and the line is printed that looks it up.

mod judging;
mod windows;

use crate::commands::Finding;
use crate::error::Error;
use crate::wire::Conninfo;

use super::super::aws::target::{Backups, Instance, Provider};
use super::super::clock;
use super::Preflight;
use super::endpoint::EndpointKind;
use super::look_ups::{GROUPS, Topic};
use judging::{
    Job, gib, in_days, in_one_zone, judge_backups, judge_instance, judge_room, judge_sources,
};

/// Asks for everything, and adds what it means to what was found. `now` is in seconds since 1970, and
/// `rehearsed` in minutes.
pub(super) async fn ask(
    target: &Conninfo,
    now: f64,
    rehearsed: Option<i64>,
    found: &mut Preflight,
) {
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
    let region = endpoint.region.as_deref().unwrap_or("REGION");
    found.findings.extend(instances.iter().flat_map(|it| judge_instance(it, region)));
    let job = Job::of(now, rehearsed, found.bytes());

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
