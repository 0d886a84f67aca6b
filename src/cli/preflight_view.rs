//! `pgconvoy webstream check`: its exit code, and what it found for people.

use crate::commands::Stop;
use crate::error::Result;
use crate::webstream::{
    self, DatabaseFacts, Distance, Encryption, Growth, Looking, Preflight, Recipe, ServerFacts,
};

use super::exit::Exit;
use super::json::ResultLine;
use super::page::{Page, Tone};
use super::run::Session;
use super::summary::findings;
use super::{check_view, units};

impl Session<'_> {
    /// Looks at everything that the move needs.
    pub(super) async fn webstream_check(
        &self,
        looking: &Looking,
        recipe: &mut Recipe,
        stop: &mut Stop,
    ) -> Result<Exit> {
        let found = webstream::check(recipe, looking, stop).await?;
        self.output.show(&ResultLine::preflight(&found), |page| show(page, &found));
        Ok(match (found.has_reached_both(), found.is_refused()) {
            (false, _) => Exit::NotConnected,
            (true, true) => Exit::Refused,
            (true, false) => Exit::Done,
        })
    }
}

/// Shows the servers, the services, the databases, and then what stands in the way.
fn show(page: &mut Page, found: &Preflight) {
    let (tone, verdict) = match found.is_refused() {
        true => (Tone::Bad, "WebStream can't be moved yet"),
        false => (Tone::Good, "WebStream is ready to move"),
    };
    page.line(0, tone, verdict);
    servers(page, found);
    services(page, found);
    databases(page, found);
    page.gap();
    if !found.findings.is_empty() {
        findings(page, 2, &found.findings);
        page.gap();
    }
    for checked in &found.checked {
        check_view::show(page, checked, false);
    }
    page.line(0, Tone::Strong, "what only the provider's API tells");
    for look_up in &found.look_ups {
        page.line(2, Tone::Plain, &look_up.what);
        match &look_up.answer {
            Some(answer) => page.block(4, Tone::Plain, answer),
            None => page.line(4, Tone::Faint, &look_up.command),
        }
    }
}

fn servers(page: &mut Page, found: &Preflight) {
    server(page, "source", found.source.as_ref());
    server(page, "target", found.target.as_ref());
    let endpoint = &found.endpoint;
    page.labelled("endpoint", Tone::Plain, endpoint.kind.words());
    match found.public {
        "unknown" => {
            let words = "unknown: DNS can't tell, the provider's API can (below)";
            page.labelled("public", Tone::Plain, words);
        }
        "yes" => page.labelled("public", Tone::Bad, "yes, says the provider's API"),
        _ => page.labelled("public", Tone::Good, "no, says the provider's API"),
    }
    let (tone, words) = encryption(&found.tls);
    page.labelled("TLS", tone, &words);
    if let Some(trips) = &found.latency {
        let (tone, judged) = match trips.distance {
            Distance::Near => (Tone::Good, "fine for the login path"),
            Distance::Noticeable => (Tone::Notable, "noticeable on the login path"),
            Distance::Far => (Tone::Bad, "too far for the login path"),
        };
        let (p50, p99) = (trips.p50_ms, trips.p99_ms);
        let words = format!("{p50:.2} ms (p50), {p99:.2} ms (p99): {judged}");
        page.labelled("round trip", tone, &words);
    }
}

fn server(page: &mut Page, label: &str, server: Option<&ServerFacts>) {
    let Some(ServerFacts { address, version, is_reader, is_aurora, .. }) = server else {
        return page.labelled(label, Tone::Bad, "not reached");
    };
    let kind = if *is_aurora { ", Aurora" } else { "" };
    let role = if *is_reader { ", a reader" } else { "" };
    let tone = if *is_reader { Tone::Bad } else { Tone::Plain };
    page.labelled(label, tone, &format!("{address}, PostgreSQL {version}{kind}{role}"));
}

fn encryption(tls: &Encryption) -> (Tone, String) {
    let said = |known: Option<bool>, yes: &'static str, no: &'static str, unknown: &'static str| {
        known.map_or(unknown, |is_so| if is_so { yes } else { no })
    };
    let words = [
        said(tls.offered, "offered", "not offered", "offered: unknown"),
        said(tls.enforced, "enforced", "not enforced", "enforced: unknown"),
        said(tls.verified, "verified", "not verified", "verified: unknown"),
    ];
    let all = [tls.offered, tls.enforced, tls.verified];
    let tone = match all {
        [Some(true), Some(true), Some(true)] => Tone::Good,
        [Some(false), ..] | [.., Some(false)] => Tone::Bad,
        _ => Tone::Notable,
    };
    (tone, words.join(", "))
}

fn services(page: &mut Page, found: &Preflight) {
    let pools = &found.pools;
    let count = units::counted(pools.pools.len() as u64, "pool", "pools");
    let mut words = format!("{count} of {} connections", units::count(pools.expected));
    if pools.worst > pools.expected {
        words.push_str(&format!(", {} at worst", units::count(pools.worst)));
    }
    if let Some(room) = &pools.room {
        let (most, reserved) = (units::count(room.max_connections), units::count(room.reserved));
        words.push_str(&format!("; max_connections is {most}, {reserved} of them reserved"));
    }
    page.labelled("services", Tone::Plain, &words);
    for one in &found.connected {
        let from = one.address.as_deref().unwrap_or("a socket");
        let count = units::counted(one.sessions.unsigned_abs(), "session", "sessions");
        let words = format!("{} on {} from {from}, {count}", one.role, one.database);
        page.labelled("connected", Tone::Notable, &words);
    }
}

fn databases(page: &mut Page, found: &Preflight) {
    for DatabaseFacts { database, role, owner, encoding, locale, bytes } in &found.databases {
        if owner.is_none() {
            page.labelled("database", Tone::Bad, &format!("{database}: not on the source"));
            continue;
        }
        let size = match bytes {
            Some(bytes) => units::bytes(bytes.unsigned_abs()),
            None => "size unknown".to_owned(),
        };
        let encoding = encoding.as_deref().unwrap_or_default();
        let locale = locale.as_deref().unwrap_or_default();
        let words = format!("{database}: {size}, {encoding}, {locale}, for {role}");
        page.labelled("database", Tone::Plain, &words);
    }
    if found.databases.len() > 1 {
        page.labelled("in sum", Tone::Plain, &units::bytes(found.bytes().unsigned_abs()));
    }
    for one in &found.growth {
        page.labelled("growth", Tone::Plain, &growth(one));
    }
    let more = |one: &Growth| one.bytes_after_a_year.map(|after| after - one.bytes);
    let told: Vec<i64> = found.growth.iter().filter_map(more).collect();
    if !told.is_empty() {
        let after = found.bytes() + told.iter().sum::<i64>();
        let least = if told.len() < found.growth.len() { "at least " } else { "" };
        let words = format!("{least}about {} in sum", units::bytes(after.unsigned_abs()));
        page.labelled("in a year", Tone::Plain, &words);
    }
}

/// An estimate says what it stands on.
fn growth(growth: &Growth) -> String {
    let Growth { database, table, recent_rows, rows, kept_days, monthly_bytes, .. } = growth;
    let Some(table) = table else {
        return format!("{database}: unknown: none of its tables tells when its rows came");
    };
    let (Some(recent), Some(rows), Some(monthly)) = (recent_rows, rows, monthly_bytes) else {
        return match rows {
            Some(_) => format!("{database}: unknown: {table} has no rows yet"),
            None => format!("{database}: unknown: counting the rows of {table} takes too long"),
        };
    };
    let kept = match kept_days {
        Some(days) => format!(", kept for {days} days"),
        None => String::new(),
    };
    format!(
        "{database}: about {} a month, by {table}, its largest table with a time{kept}: {} of {} rows \
         are of the last 30 days",
        units::bytes(monthly.unsigned_abs()),
        units::count(recent.unsigned_abs()),
        units::count(rows.unsigned_abs()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_well_only_where_all_of_it_is() {
        let tls = |enforced| Encryption {
            offered: Some(true),
            enforced: Some(enforced),
            verified: Some(true),
            ..Encryption::default()
        };
        assert_eq!(encryption(&tls(true)), (Tone::Good, "offered, enforced, verified".to_owned()));
        assert_eq!(encryption(&tls(false)).0, Tone::Notable);
        let (tone, words) = encryption(&Encryption::default());
        assert_eq!(tone, Tone::Notable);
        assert!(words.contains("verified: unknown"), "{words}");
    }
}
