//! Single entries that a target refuses from a user who is no superuser, or hasn't got at all.

use std::collections::BTreeMap;

use crate::pg::quote_ident;
use crate::toc::access_method::stored_as_heap;
use crate::toc::clauses::{name_after, says};
use crate::toc::finding::Finding;
use crate::toc::sql::{Token, statements, tokens};
use crate::toc::target::TargetFacts;
use crate::toc::{Entry, Kind, Toc};

use super::bystanders::{self, Verdict};
use super::losses::Losses;
use super::{memberships, operators, roles, routines};

/// What single entries are judged by.
pub(super) struct Context<'a> {
    /// What they are entries of.
    pub(super) toc: &'a Toc,
    pub(super) losses: &'a Losses,
    pub(super) role_map: &'a BTreeMap<String, String>,
    pub(super) target: &'a TargetFacts,
}

impl Context<'_> {
    /// The entry as the target takes it, or none where it is left out.
    pub(super) fn fit(&mut self, mut entry: Entry, findings: &mut Vec<Finding>) -> Option<Entry> {
        let target = self.target;
        match bystanders::judge(&entry, self.toc, target) {
            Verdict::Allowed => {}
            Verdict::Given => return None,
            Verdict::Refused(why) => {
                findings.push(bystanders::left_out(&entry, &why));
                return None;
            }
        }
        if matches!(entry.kind, Kind::Table | Kind::MaterializedView) && target.holds.lacks_lz4 {
            without_lz4(&mut entry, findings);
        }
        match entry.kind {
            Kind::Extension => extension(&entry, target, findings),
            Kind::Role if target.roles.contains_key(&entry.name) => {
                if entry.name != target.user {
                    findings.extend(roles::differences(&entry, target));
                }
                return None;
            }
            Kind::Role if self.role_map.contains_key(&entry.name) => return None,
            Kind::Role => role(&mut entry, target, findings),
            Kind::RoleMembership => return memberships::fit(entry, target, findings),
            Kind::DatabaseProperties => {
                keep_statements(&mut entry, target, findings, refused_setting);
            }
            Kind::Function | Kind::Procedure => routines::fit(&mut entry, target, findings),
            Kind::Operator => operators::fit(&mut entry, target, findings),
            Kind::Table | Kind::MaterializedView => self.keep_in_a_heap(&mut entry, findings),
            Kind::Comment | Kind::SecurityLabel if self.is_about_a_missing_role(&entry) => {
                let what = "left out, as the role is not made on the target";
                findings.push(Finding::change(entry.title(), what));
                return None;
            }
            Kind::LargeObjects => findings.extend(unreadable(&entry, target)),
            _ => {}
        }
        let emptied = entry.create.is_empty() && entry.table.is_none() && entry.drop.is_empty();
        let carries_nothing =
            matches!(entry.kind, Kind::DatabaseProperties | Kind::Acl | Kind::Comment);
        (!(emptied && carries_nothing)).then_some(entry)
    }

    fn is_about_a_missing_role(&self, about: &Entry) -> bool {
        let role = about.name.strip_prefix("ROLE ").filter(|_| about.schema.is_none());
        role.is_some_and(|role| {
            self.role_map.contains_key(role) && !self.target.roles.contains_key(role)
        })
    }

    /// A table whose access method can't be had keeps its rows in a heap.
    fn keep_in_a_heap(&self, entry: &mut Entry, findings: &mut Vec<Finding>) {
        let needed = entry.depends_on.iter().filter(|id| self.losses.has(**id));
        let mut methods =
            needed.map(|id| self.toc.entry(*id)).filter(|e| e.kind == Kind::AccessMethod);
        let Some(method) = methods.next() else { return };
        entry.create = stored_as_heap(&entry.create, &method.name);
        let what = format!("is stored as a heap, as access method {} is left out", method.name);
        findings.push(Finding::change(entry.title(), what).mend(format!(
            "once that is there: ALTER TABLE … SET ACCESS METHOD {};",
            quote_ident(&method.name)
        )));
    }
}

fn extension(entry: &Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    match target.extensions.get(&entry.name) {
        None => findings.push(
            Finding::refusal(entry.title(), "isn't available on the target").mend(format!(
                "install {} on the target server (on RDS: see SHOW rds.extensions), or DROP \
                 EXTENSION on the source if nothing needs it",
                entry.name
            )),
        ),
        Some(there) if there.installed.is_none() && !there.trusted && !target.superuser => {
            // A managed service's administrator may create more than vanilla PostgreSQL lets it.
            let managed = target.known_settings.contains("rds.extensions");
            if !managed {
                let what = format!("takes a superuser, which {} isn't", target.user);
                findings.push(Finding::refusal(entry.title(), what).mend(format!(
                    "as a superuser, in the target database: {}",
                    entry.create.trim_end()
                )));
            }
        }
        Some(_) => {}
    }
}

/// Values are the same, compressed by whichever method (documentation: configure option
/// `--with-lz4`).
fn without_lz4(entry: &mut Entry, findings: &mut Vec<Finding>) {
    let chosen: Vec<String> = statements(&entry.create)
        .into_iter()
        .filter(|statement| statement.ends_with(" SET COMPRESSION lz4;"))
        .map(str::to_owned)
        .collect();
    for statement in chosen {
        entry.create = entry.create.replacen(&format!("{statement}\n"), "", 1);
        let what = "is compressed by the default method, as the target is built without lz4";
        findings.push(
            Finding::change(entry.title(), what)
                .mend(format!("once the target has lz4: {statement}")),
        );
    }
}

/// Keeps the statements for which `refused` gives no reason.
fn keep_statements(
    entry: &mut Entry,
    target: &TargetFacts,
    findings: &mut Vec<Finding>,
    refused: impl Fn(&str, &TargetFacts) -> Option<String>,
) {
    let title = entry.title();
    let told_before = findings.len();
    let mut kept = String::new();
    for statement in statements(&entry.create) {
        match refused(statement, target) {
            None => {
                kept.push_str(statement);
                kept.push('\n');
            }
            Some(why) => findings.push(
                Finding::change(&title, format!("left out, as {why}: {statement}"))
                    .mend(format!("as an administrator of the target: {statement}")),
            ),
        }
    }
    if findings.len() > told_before {
        entry.create = kept;
    }
}

/// The role that stands for the attribute REPLICATION on Amazon RDS.
const REPLICATION_ROLE: &str = "rds_replication";

/// A role with the attributes that the target user may give. From 16 on those are the ones it has
/// itself, SUPERUSER aside; before, a superuser alone may give some (documentation: CREATE ROLE).
fn role(entry: &mut Entry, target: &TargetFacts, findings: &mut Vec<Finding>) {
    let name = quote_ident(&entry.name);
    let since_16 = target.version.major() >= 16;
    if since_16 && !target.superuser && !target.create_database {
        let without = entry.create.replacen(" CREATEDB", " NOCREATEDB", 1);
        if without != entry.create {
            let what = format!("is created without CREATEDB, which {} hasn't", target.user);
            findings.push(
                Finding::change(entry.title(), what).mend(format!(
                    "as an administrator of the target: ALTER ROLE {name} CREATEDB;"
                )),
            );
            entry.create = without;
        }
    }
    let replicates = format!("ALTER ROLE {name} WITH REPLICATION;");
    let stands_in = target.roles.get(REPLICATION_ROLE).is_some_and(|role| role.can_grant);
    if stands_in && !target.superuser && !(since_16 && target.holds.replication) {
        let instead = format!("GRANT {} TO {name};", quote_ident(REPLICATION_ROLE));
        let granted = entry.create.replacen(&replicates, &instead, 1);
        if granted != entry.create {
            let what = "is made a member of rds_replication, as REPLICATION takes a superuser";
            findings.push(Finding::change(entry.title(), what));
            entry.create = granted;
        }
    }
    keep_statements(entry, target, findings, role_statement);
}

/// Attributes that only a superuser may give (documentation: ALTER ROLE).
fn role_statement(statement: &str, target: &TargetFacts) -> Option<String> {
    let since_16 = target.version.major() >= 16;
    let may = |word: &str| match word {
        "REPLICATION" => since_16 && target.holds.replication,
        "BYPASSRLS" => since_16 && target.holds.bypass_rls,
        _ => false,
    };
    let privileged = ["SUPERUSER", "REPLICATION", "BYPASSRLS"];
    let words = tokens(statement).filter_map(|(_, token)| match token {
        Token::Word(word) => Some(word),
        _ => None,
    });
    let mut words = words.peekable();
    if !words.peek().is_some_and(|word| word.eq_ignore_ascii_case("ALTER")) {
        return None;
    }
    let word = words.find(|word| privileged.iter().any(|p| word.eq_ignore_ascii_case(p)));
    match word.filter(|_| !target.superuser) {
        Some(word) if may(word) => None,
        Some(word) => Some(format!("{word} takes a superuser")),
        None => refused_setting(statement, target),
    }
}

/// Settings that the server takes though it lists them nowhere, and old names that it still
/// understands (source: utils/misc/guc_tables.c, GUC_NO_SHOW_ALL, and map_old_guc_names in guc.c).
const UNLISTED_SETTINGS: [&str; 10] = [
    "default_with_oids",
    "force_parallel_mode",
    "role",
    "seed",
    "session_authorization",
    "sort_mem",
    "ssl_ecdh_curve",
    "ssl_renegotiation_limit",
    "transaction_isolation",
    "vacuum_mem",
];

/// Settings that the server doesn't know, as one that a later major has no more, or that only a
/// superuser may set.
pub(super) fn refused_setting(statement: &str, target: &TargetFacts) -> Option<String> {
    let name = name_after(statement, "SET")?.to_lowercase();
    let unlisted = UNLISTED_SETTINGS.contains(&name.as_str());
    if !name.contains('.') && !unlisted && !target.known_settings.contains(&name) {
        return Some(format!("the target has no setting {name}"));
    }
    if target.superuser {
        return None;
    }
    if target.superuser_settings.contains(&name) {
        Some(format!("{name} takes a superuser"))
    } else if name.contains('.') && !target.known_settings.contains(&name) {
        Some(format!("the target doesn't know {name}, which then takes a superuser"))
    } else {
        None
    }
}

/// Large objects that their own owner may not read: neither may we, who are but a member of it, so
/// what was copied couldn't be read back.
fn unreadable(entry: &Entry, target: &TargetFacts) -> Option<Finding> {
    let owner = quote_ident(entry.owner.as_deref().filter(|_| !target.superuser)?);
    let all = statements(&entry.create);
    let revoked = all.iter().any(|sql| sql.ends_with(&format!(" FROM {owner};")));
    let granted =
        all.iter().any(|sql| sql.ends_with(&format!(" TO {owner};")) && says(sql, "SELECT"));
    (revoked && !granted).then(|| {
        let what = format!("{owner} may not read them, so nor may {} on the target", target.user);
        Finding::refusal(entry.title(), what)
            .mend(format!("on the source: GRANT SELECT ON LARGE OBJECT … TO {owner};"))
    })
}
