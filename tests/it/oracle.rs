//! PostgreSQL as the judge of a copy. Four witnesses: the newest pg_dump's items of both sides; a
//! control, which PostgreSQL's own dump and restore made of the same database on the target's
//! server, and whose catalogs the copy's must equal; both sides' settings and roles; every row.

use std::collections::{BTreeMap, BTreeSet};

use pgconvoy::commands::Finding;
use pgconvoy::servers::Cluster;

use crate::archive::{Item, Key};
use crate::legitimate::Legitimate;
use crate::{archive, catalogs, legitimate, pg_dump};

/// A database somewhere.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) database: &'a str,
}

impl Side<'_> {
    fn major(&self) -> u32 {
        self.cluster.installation().major()
    }
}

/// What the witnesses say.
#[derive(Default)]
pub(crate) struct Verdict {
    /// All that makes the copy another database than the original.
    pub(crate) differences: Vec<String>,
    /// The first items that stand in another order than PostgreSQL's own copy has them.
    pub(crate) order: Option<String>,
    /// What PostgreSQL's own restore couldn't do: then the control is silent on that.
    pub(crate) control_lacks: String,
}

/// Hears all witnesses; `told` is what the migration reported.
pub(crate) async fn judge(original: Side<'_>, copy: Side<'_>, told: &[Finding]) -> Verdict {
    let archive = pg_dump::archive(original.cluster, original.database);
    let (control, control_lacks) = control(&archive, copy.cluster).await;
    let mut sides = Sides {
        from: original.major(),
        to: copy.major(),
        original: archive::items(&archive),
        copy: archive::items(&pg_dump::archive(copy.cluster, copy.database)),
        control: archive::items(&pg_dump::archive(control.cluster, control.database)),
        control_is_whole: control_lacks.is_empty(),
        granted_alike: legitimate::grants_of_renamed_public(original, copy).await,
        told,
    };
    // Where PostgreSQL can't restore something, it is in a circle that is cut open anywhere.
    let whole = control_lacks.is_empty();
    let order = if whole { sides.order() } else { None };
    archive::without_cuts(&mut sides.original, &mut sides.copy);
    let mut found = sides.items();
    found.extend(catalogs::differences(original, control, whole, copy).await);
    found.extend(catalogs::different_flags(original, control, whole, copy).await);
    found.extend(catalogs::differences_between_clusters(original, copy).await);
    drop_with_subscriptions(control).await;
    Verdict { differences: found, order, control_lacks }
}

/// Fails if a copy differs from what it is of.
pub(crate) async fn assert_same(original: Side<'_>, copy: Side<'_>) {
    let Verdict { differences: mut found, order, .. } = judge(original, copy, &[]).await;
    found.extend(order);
    assert!(
        found.is_empty(),
        "{} differences from PostgreSQL {} to {}:\n{}",
        found.len(),
        original.major(),
        copy.major(),
        found.join("\n")
    );
}

/// How PostgreSQL's own programs come to grief at a circle, on their way to another server: pg_dump
/// says that it can't resolve it, or cuts a generated column off as a mere default. That another
/// statement fails is no reason to refuse a circle.
pub(crate) async fn circles_that_postgresql_cuts(
    original: Side<'_>,
    cluster: &Cluster,
) -> Option<String> {
    if let Some(words) = pg_dump::unresolved_circle(original.cluster, original.database) {
        return Some(words);
    }
    let archive = pg_dump::archive(original.cluster, original.database);
    let (control, _) = control(&archive, cluster).await;
    let columns = async |side: Side<'_>, generated: bool| {
        let sql = format!(
            "select pg_catalog.format('%s.%I', a.attrelid::pg_catalog.regclass, a.attname) \
             from pg_catalog.pg_attribute a \
             where a.attnum > 0 and (a.attgenerated <> '') = {generated}"
        );
        catalogs::lines(side, &sql).await
    };
    let (ours, theirs) = (columns(original, true).await, columns(control, false).await);
    drop_with_subscriptions(control).await;
    let cut = ours.into_iter().find(|column| theirs.contains(column))?;
    Some(format!("{cut} is a mere default"))
}

const CONTROL: &str = "control";

/// PostgreSQL's own copy, beside ours, as the roles are there by now; and what it couldn't do.
async fn control<'a>(archive: &[u8], cluster: &'a Cluster) -> (Side<'a>, String) {
    let session = cluster.superuser_session("postgres").await.unwrap();
    let sql = format!("CREATE DATABASE {CONTROL} TEMPLATE template0");
    session.execute("making a control", &sql).await.unwrap();
    let words = pg_dump::restore(archive, cluster, CONTROL);
    (Side { cluster, database: CONTROL }, words)
}

/// A database that has subscriptions can't be dropped, nor a subscription whose slot is elsewhere.
pub(crate) async fn drop_with_subscriptions(side: Side<'_>) {
    let session = side.cluster.superuser_session(side.database).await.unwrap();
    let sql = r"
        select pg_catalog.format('ALTER SUBSCRIPTION %1$I SET (slot_name = NONE)', s.subname),
               pg_catalog.format('DROP SUBSCRIPTION %1$I', s.subname)
        from pg_catalog.pg_subscription s
        where s.subdbid = (select oid from pg_catalog.pg_database
                           where datname = pg_catalog.current_database())";
    for row in session.query("reading subscriptions", sql, &[]).await.unwrap() {
        for statement in [row.get::<_, String>(0), row.get(1)] {
            session.execute("dropping a subscription", &statement).await.unwrap();
        }
    }
    session.close().await;
    let session = side.cluster.superuser_session("postgres").await.unwrap();
    let sql = format!("DROP DATABASE {}", side.database);
    session.execute("dropping a database", &sql).await.unwrap();
}

struct Sides<'a> {
    from: u32,
    to: u32,
    original: Vec<Item>,
    copy: Vec<Item>,
    control: Vec<Item>,
    /// Whether PostgreSQL could restore all.
    control_is_whole: bool,
    /// Grants that both catalogs have in the same words, and pg_dump doesn't.
    granted_alike: BTreeSet<Key>,
    told: &'a [Finding],
}

impl Sides<'_> {
    /// The items that only one side has, but for those that may differ.
    fn items(&self) -> Vec<String> {
        let (original, copy) = (count(&self.original), count(&self.copy));
        let control = count(&self.control);
        let keys: BTreeSet<&Key> = original.keys().chain(copy.keys()).copied().collect();
        let nothing = BTreeMap::new();
        let mut found = Vec::new();
        for key in keys {
            let ours = original.get(key).unwrap_or(&nothing);
            let theirs = copy.get(key).unwrap_or(&nothing);
            let controls = control.get(key).unwrap_or(&nothing);
            let reordered = legitimate::is_told_column_order(key, self.told)
                && legitimate::in_any_order(ours) == legitimate::in_any_order(theirs)
                && (!self.control_is_whole || theirs == controls);
            if ours == theirs || reordered || self.granted_alike.contains(key) {
                continue;
            }
            match legitimate::reason(key, self.from, self.to) {
                Some(_) if theirs == controls => {}
                // PostgreSQL couldn't restore it, or only a view's stand-in: then there is only the
                // reason.
                Some(_) if !self.control_is_whole && !controls_query(controls) => {}
                Some(entry) if in_same_words(entry, ours) == in_same_words(entry, theirs) => {}
                Some(Legitimate { why, .. }) => found.push(format!(
                    "{key}: may differ ({why}), but not so:\n{}",
                    compared(controls, theirs)
                )),
                None => found.push(format!("{key}:\n{}", compared(ours, theirs))),
            }
        }
        found
    }

    /// The first items that stand in another order than PostgreSQL's own copy has them.
    fn order(&self) -> Option<String> {
        let (originals, copies, controls) =
            (keys(&self.original), keys(&self.copy), keys(&self.control));
        let common: BTreeSet<&Key> =
            copies.iter().filter(|key| originals.contains(key)).copied().collect();
        let in_common = |all: &[&Key]| -> Vec<Key> {
            all.iter().filter(|key| common.contains(**key)).map(|key| (*key).clone()).collect()
        };
        let (original, copy, control) =
            (in_common(&originals), in_common(&copies), in_common(&controls));
        if original == copy || control == copy {
            return None;
        }
        let at = original.iter().zip(&copy).position(|(a, b)| a != b)?;
        Some(format!("in another order: {} stands where {} stood", copy[at], original[at]))
    }
}

/// Whether there is a definition, and no view's stand-in, which has NULL for each column.
fn controls_query(texts: &BTreeMap<&str, usize>) -> bool {
    !texts.is_empty() && !texts.keys().any(|text| text.contains(" AS\n SELECT NULL::"))
}

fn keys(items: &[Item]) -> Vec<&Key> {
    items.iter().map(|item| &item.key).collect()
}

fn count(items: &[Item]) -> BTreeMap<&Key, BTreeMap<&str, usize>> {
    let mut counted: BTreeMap<&Key, BTreeMap<&str, usize>> = BTreeMap::new();
    for item in items {
        *counted.entry(&item.key).or_default().entry(&item.text).or_default() += 1;
    }
    counted
}

fn in_same_words(entry: &Legitimate, texts: &BTreeMap<&str, usize>) -> BTreeMap<String, usize> {
    texts.iter().map(|(text, count)| (entry.in_same_words(text), *count)).collect()
}

/// The lines that only one of two has.
fn compared(ours: &BTreeMap<&str, usize>, theirs: &BTreeMap<&str, usize>) -> String {
    let lines = |side: &BTreeMap<&str, usize>| -> Vec<String> {
        side.iter()
            .flat_map(|(text, count)| text.lines().map(move |line| format!("{line} ({count}x)")))
            .collect()
    };
    let (ours, theirs) = (lines(ours), lines(theirs));
    let only = |mark: char, a: &[String], b: &[String]| -> String {
        let lines = a.iter().filter(|line| !b.contains(line));
        lines.map(|line| format!("  {mark} {}\n", line.trim_end_matches(" (1x)"))).collect()
    };
    let both = format!("{}{}", only('-', &ours, &theirs), only('+', &theirs, &ours));
    match both.is_empty() {
        true => "  the same lines in another order\n".to_owned(),
        false => both,
    }
}
