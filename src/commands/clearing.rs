//! `--restart` and `--clean`: the target database is dropped and made anew, once it is proven that
//! nobody loses what they need.

use std::sync::Arc;

use crate::catalog::{DatabaseFacts, Scope};
use crate::engine::failpoint::{self, Act, Point};
use crate::engine::{
    Claim, Event, Events, JobState, Ledger, Ours, SourceIdentity, StoredJob, strangers,
};
use crate::error::{Error, Kind, Result};
use crate::pg::{Oid, quote_ident};
use crate::plan::{Action, TableId};
use crate::toc::{Finding, counted, named};
use crate::wire::{Conninfo, Session};

use super::check::{held_objects, is_refusal_of_a_statement};
use super::databases::{self, TargetDatabase};
use super::going_on::{refuse_another_source, refuse_other_terms};
use super::request::{Beginning, Request};

/// What is to be dropped with the target database.
pub(super) enum Held {
    /// A job, with what it has made: others' rows are none of it.
    Job(Box<StoredJob>),
    /// Whatever is there, another job maybe.
    Anything(Option<Box<StoredJob>>),
}

impl Held {
    fn job(&self) -> Option<&StoredJob> {
        match self {
            Held::Job(stored) => Some(stored),
            Held::Anything(stored) => stored.as_deref(),
        }
    }
}

/// The job that is to begin on a target.
pub(super) struct Wanted<'a> {
    pub(super) beginning: Beginning,
    pub(super) terms: Vec<String>,
    pub(super) source: &'a SourceIdentity,
    /// What rows travel in.
    pub(super) encoding: String,
    pub(super) jobs: usize,
}

impl<'a> Wanted<'a> {
    /// A migration from the database that `from` is connected to.
    pub(super) fn migration(
        request: &Request,
        source: &'a SourceIdentity,
        from: &Session,
        target: &Session,
    ) -> Wanted<'a> {
        let encoding =
            |session: &Session| session.parameter("server_encoding").unwrap_or_default().to_owned();
        let encoding = databases::rows_encoding(request, &encoding(from), &encoding(target));
        Wanted {
            beginning: request.beginning,
            terms: request.terms(),
            source,
            encoding: encoding.to_owned(),
            jobs: request.jobs(),
        }
    }
}

/// What the target database holds that is to be dropped; none where nothing is. A ledger that can't
/// be read is left to those that read it, unless everything is to be dropped.
pub(super) async fn due(wanted: &Wanted<'_>, target: &Session) -> Result<Option<Held>> {
    if wanted.beginning == Beginning::GoOn {
        return Ok(None);
    }
    let stored = match Ledger::of(target).read().await {
        Ok(stored) => stored,
        Err(error) if error.kind() == Kind::Refused || is_refusal_of_a_statement(&error) => {
            return Ok((wanted.beginning == Beginning::Clean).then_some(Held::Anything(None)));
        }
        Err(error) => return Err(error),
    };
    Ok(match (wanted.beginning, stored) {
        (Beginning::Restart, stored) => stored.map(|job| Held::Job(Box::new(job))),
        (_, Some(stored)) => {
            let goes_on = refuse_other_terms(&stored.job, &wanted.terms)
                .and_then(|()| refuse_another_source(&stored.job, wanted.source));
            goes_on.is_err().then(|| Held::Anything(Some(Box::new(stored))))
        }
        (_, None) => {
            let objects = held_objects(target, &[]).await?;
            (!objects.is_empty()).then_some(Held::Anything(None))
        }
    })
}

/// What is dropped, as a phrase.
pub(super) async fn words(held: &Held, target: &Session) -> Result<String> {
    let objects = held_objects(target, &[]).await?;
    let holds = match objects.len() {
        0 => "it holds nothing but schema pgconvoy".to_owned(),
        many => format!("it holds {}: {}", counted(many, "object"), named(&objects)),
    };
    let job = match held.job() {
        None => String::new(),
        Some(stored) => {
            let from = &stored.job.source.database;
            let state = match &stored.state {
                JobState::Open => "that isn't finished".to_owned(),
                JobState::Sealed { at, .. } => format!("finished at {at}"),
            };
            format!("; its ledger is that of a job from database {from}, {state}")
        }
    };
    Ok(format!("{holds}{job}"))
}

/// What keeps the target database, to which `target` is connected, from being dropped.
pub(super) async fn refusals(
    wanted: &Wanted<'_>,
    held: &Held,
    target: &Session,
) -> Result<Vec<Finding>> {
    let refusal = |what: String| Finding::refusal("target database", what);
    let mut found = Vec::new();
    if let Some(since) = Ledger::of(target).cut_over().await? {
        let what = format!("is in use since {since}, when its cut-over was recorded");
        found.push(refusal(what).mend(
            "nothing is done to it any more; if that record is wrong, drop the database by hand",
        ));
    }
    if Claim::stays_held(target).await? {
        found.push(
            refusal("can't be dropped: another run is at work on it".to_owned())
                .mend("let that run finish, or stop it"),
        );
    }
    let others = strangers(target).await?;
    if !others.is_empty() {
        let what = format!("can't be dropped while others are connected to it: {}", named(&others));
        found.push(
            refusal(what)
                .mend("end these, or, connected to the target: SELECT pg_terminate_backend(pid);"),
        );
    }
    found.extend(obstacles(target).await?);
    found.extend(not_owned(target).await?);
    if let (Held::Job(stored), true) = (held, found.is_empty()) {
        found.extend(others_work(wanted, stored, target).await?);
    }
    Ok(found)
}

/// Drops the database that `target` is connected to and makes it anew, if that is due; else the
/// session comes back. With it come the login roles that the job which is given up has made, or
/// would have: roles outlive the database, and they have no passwords yet.
pub(super) async fn clear(
    wanted: &Wanted<'_>,
    (place, database): (&Conninfo, &DatabaseFacts),
    target: Session,
    events: &Events,
) -> Result<(Session, Vec<String>)> {
    Claim::take(&target, None).await?;
    let Some(held) = due(wanted, &target).await? else {
        return Ok((target, Vec::new()));
    };
    let refusals = refusals(wanted, &held, &target).await?;
    if !refusals.is_empty() {
        let all: Vec<String> = refusals.iter().map(|finding| format!("\n  {finding}")).collect();
        return Err(Error::new(Kind::Refused, "dropping the target database")
            .because(all.concat())
            .hint("see to these, then run again"));
    }
    let name = place.database();
    let words = words(&held, &target).await?;
    let later = match wanted.beginning {
        Beginning::Restart => " (should this run be cut off, go on without --restart)",
        _ => "",
    };
    let note = format!("dropping database {name} to make it anew: {words}{later}");
    events.say(Event::Note(note)).await;
    let server = databases::elsewhere(place).await?;
    drop_with(&held, target, &server, name).await?;
    let open = held.job().filter(|stored| stored.state == JobState::Open);
    let roles = open.map(|stored| stored.job.login_roles.clone()).unwrap_or_default();
    Ok((databases::create(place, &server, database).await?, roles))
}

/// Drops a database that was made to be dropped again, with what a job has made there. Nobody proves
/// that it holds nothing else: its name is nobody else's.
pub(super) async fn throw_away(place: &Conninfo) -> Result<()> {
    let TargetDatabase::There(target) = databases::target_database(place).await? else {
        return Ok(());
    };
    Claim::take(&target, None).await?;
    let held = Held::Anything(Ledger::of(&target).read().await?.map(Box::new));
    let server = databases::elsewhere(place).await?;
    drop_with(&held, target, &server, place.database()).await
}

async fn drop_with(held: &Held, target: Session, server: &Session, name: &str) -> Result<()> {
    leave_owners(held, &target, server).await?;
    target.close().await;
    // A DROP that an earlier run was cut off in may end only now.
    let drop = format!("DROP DATABASE IF EXISTS {}", quote_ident(name));
    failpoint::pass(Point::Before(Act::DropDatabase));
    server.execute(&format!("dropping database {name}"), &drop).await?;
    failpoint::pass(Point::After(Act::DropDatabase));
    Ok(())
}

/// Takes back the memberships that a job which is given up has given itself: they are the
/// cluster's, and the next job would take them for our own. Only the ledger knows of them, so that
/// comes before it is dropped. A job that is gone on with after all joins the owners again.
async fn leave_owners(held: &Held, target: &Session, server: &Session) -> Result<()> {
    let Some(stored) = held.job().filter(|stored| stored.state == JobState::Open) else {
        return Ok(());
    };
    let given = stored.plan.take_back();
    let given: Vec<_> = given.filter(|given| revokes_a_membership(&given.sql)).collect();
    if !given.is_empty() {
        own(target, server).await?;
    }
    for statement in given {
        failpoint::pass(Point::Before(Act::LeaveOwners));
        let revoked = server.execute("leaving the owners on the target", &statement.sql).await;
        failpoint::pass(Point::After(Act::LeaveOwners));
        // undefined_object: the job wasn't so far as to make the role.
        let unmade = |error: &Error| error.server_error().is_some_and(|e| e.sqlstate == "42704");
        match revoked {
            Err(error) if unmade(&error) => {}
            revoked => revoked?,
        }
    }
    Ok(())
}

/// Whether a statement is one that takes a membership back, and nothing else.
fn revokes_a_membership(sql: &str) -> bool {
    let role = sql.strip_prefix("REVOKE ").and_then(past_name);
    let user = role.and_then(|rest| rest.strip_prefix(" FROM ")).and_then(past_name);
    user.is_some_and(|rest| rest == ";\n")
}

/// What follows a quoted name.
fn past_name(sql: &str) -> Option<&str> {
    let mut rest = sql.strip_prefix('"')?;
    loop {
        rest = rest.split_once('"')?.1;
        match rest.strip_prefix('"') {
            Some(more) => rest = more,
            None => return Some(rest),
        }
    }
}

/// Makes the target database our own, which we drop as members of its owner otherwise.
async fn own(target: &Session, server: &Session) -> Result<()> {
    let sql = "SELECT pg_catalog.current_database()::text FROM pg_catalog.pg_database d \
               WHERE d.datname = pg_catalog.current_database() \
               AND pg_catalog.pg_get_userbyid(d.datdba) <> CURRENT_USER";
    let rows = target.query("asking who owns the target database", sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let own = format!("ALTER DATABASE {} OWNER TO CURRENT_USER", quote_ident(row.get(0)));
    server.execute("taking the target database over", &own).await
}

/// What the server drops no database for (source: commands/dbcommands.c, dropdb).
async fn obstacles(target: &Session) -> Result<Vec<Finding>> {
    let sql = "SELECT pg_catalog.format('prepared transaction %s', x.gid), \
         pg_catalog.format('in the target database: ROLLBACK PREPARED %L;', x.gid) \
         FROM pg_catalog.pg_prepared_xacts x WHERE x.database = pg_catalog.current_database() \
         UNION ALL SELECT pg_catalog.format('replication slot %s', s.slot_name), \
         pg_catalog.format('SELECT pg_drop_replication_slot(%L);', s.slot_name) \
         FROM pg_catalog.pg_replication_slots s \
         WHERE s.database = pg_catalog.current_database() AND s.active \
         UNION ALL SELECT pg_catalog.format('subscription %s', b.subname), \
         pg_catalog.format('in the target database: DROP SUBSCRIPTION %I;', b.subname) \
         FROM pg_catalog.pg_subscription b JOIN pg_catalog.pg_database d ON d.oid = b.subdbid \
         WHERE d.datname = pg_catalog.current_database() \
         UNION ALL SELECT 'its being a template', \
         pg_catalog.format('ALTER DATABASE %I IS_TEMPLATE false;', d.datname) \
         FROM pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database() AND d.datistemplate ORDER BY 1";
    let rows = target.query("asking what keeps the target database", sql, &[]).await?;
    let finding = |row: &tokio_postgres::Row| {
        let (what, remedy): (String, String) = (row.get(0), row.get(1));
        Finding::refusal("target database", format!("can't be dropped for {what}")).mend(remedy)
    };
    Ok(rows.iter().map(finding).collect())
}

async fn not_owned(target: &Session) -> Result<Option<Finding>> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(d.datdba)::text, CURRENT_USER::text, \
               pg_catalog.pg_has_role(CURRENT_USER, d.datdba, 'USAGE') \
               FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
    let row = target.query_one("asking who owns the target database", sql, &[]).await?;
    let (owner, user, ours): (String, String, bool) = (row.get(0), row.get(1), row.get(2));
    let finding = || {
        let what = format!("can't be dropped by {user}: it belongs to {owner}");
        let (owner, user) = (quote_ident(&owner), quote_ident(&user));
        Finding::refusal("target database", what).mend(format!("GRANT {owner} TO {user};"))
    };
    Ok((!ours).then(finding))
}

/// What others have put into a job's tables, or beside them.
async fn others_work(
    wanted: &Wanted<'_>,
    stored: &StoredJob,
    target: &Session,
) -> Result<Vec<Finding>> {
    if let Some(finding) = unreadable(target).await? {
        return Ok(vec![finding]);
    }
    let mut found = Vec::new();
    let plan = Arc::new(stored.plan.clone());
    let (events, _unheard) = Events::new();
    let ours = Ours {
        plan: &plan,
        session: target,
        target: &target.same_server().with_client_encoding(&wanted.encoding),
        jobs: wanted.jobs,
        progress: &events.verified,
    };
    let all = (0_u32..).zip(&plan.tables).map(|(id, _)| TableId(id)).collect();
    let mut written = ours.filled(&stored.receipts).await?;
    written.extend(ours.differing(&stored.receipts, &all).await?);
    let mut names: Vec<String> =
        written.iter().map(|id| plan.table(*id).relation.to_string()).collect();
    names.extend(not_made(stored, target).await?);
    if !names.is_empty() {
        let what = format!("holds what the job in its ledger hasn't written: {}", named(&names));
        let remedy = format!(
            "save what anybody needs of it; else DROP DATABASE {};",
            quote_ident(target.same_server().database())
        );
        found.push(Finding::refusal("target database", what).mend(remedy));
    }
    Ok(found)
}

/// Whose tables the target's user can't read: a finished job has given them to their owners.
async fn unreadable(target: &Session) -> Result<Option<Finding>> {
    let sql = format!(
        "SELECT DISTINCT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'm') AND {} \
         AND NOT pg_catalog.pg_has_role(CURRENT_USER, c.relowner, 'USAGE') ORDER BY 1",
        Scope::default().schemas("n.nspname")
    );
    let rows = target.query("asking who owns the target's tables", &sql, &[]).await?;
    let owners: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let sql = "SELECT CURRENT_USER::text";
    let user: String = target.query_one("asking who we are", sql, &[]).await?.get(0);
    let finding = || {
        let owners = owners.join(", ");
        let what = format!(
            "can't be proven to hold only what its job wrote: {user} may not read the tables of \
             {owners}"
        );
        let remedy = format!("GRANT {owners} TO {};", quote_ident(&user));
        Finding::refusal("target database", what).mend(remedy)
    };
    Ok((!owners.is_empty()).then(finding))
}

/// Tables, materialized views and large objects that the job hasn't made.
async fn not_made(stored: &StoredJob, target: &Session) -> Result<Vec<String>> {
    let steps = stored.plan.steps.iter();
    let titles: Vec<&str> = steps
        .flat_map(|step| match &step.action {
            Action::Apply { statements } => statements.as_slice(),
            _ => &[],
        })
        .map(|statement| statement.title.as_str())
        .filter(|title| title.starts_with("TABLE ") || title.starts_with("MATERIALIZED VIEW "))
        .collect();
    let moves_objects = stored.plan.tables.iter().any(|table| table.holds_large_objects());
    let sql = format!(
        "SELECT t.title FROM (SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW ' \
         ELSE 'TABLE ' END || n.nspname || '.' || c.relname AS title \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'm') AND c.oid >= {} AND {} \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         AND d.objid = c.oid AND d.deptype = 'e')) t \
         WHERE t.title <> ALL ($1::pg_catalog.text[]) \
         UNION ALL SELECT 'large objects' WHERE NOT $2 \
         AND EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) ORDER BY 1",
        Oid::FIRST_NORMAL,
        Scope::default().schemas("n.nspname")
    );
    let doing = "looking for tables that the job hasn't made";
    let rows = target.query(doing, &sql, &[&titles, &moves_objects]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_membership_is_run_of_what_a_ledger_says() {
        for ours in ["REVOKE \"a\" FROM \"b\";\n", "REVOKE \"a\"\"; b\" FROM \"c d\";\n"] {
            assert!(revokes_a_membership(ours), "{ours}");
        }
        for other in [
            "REVOKE \"a\" FROM \"b\"; ALTER ROLE \"b\" SUPERUSER;\n",
            "REVOKE \"a\" FROM \"b\";\n;\n",
            "REVOKE a FROM b; ALTER ROLE b SUPERUSER",
            "REVOKE \"a\" FROM \"b",
            "GRANT \"a\" TO \"b\";\n",
        ] {
            assert!(!revokes_a_membership(other), "{other}");
        }
    }
}
