//! A trial: a database on a throw-away source, its move watched and interfered with, and both sides
//! compared by PostgreSQL's own word.

use pgconvoy::commands::{self, DatabaseReport, Databases, Event, Events, Request, Stop};
use pgconvoy::error::Result;
use pgconvoy::servers::Cluster;
use pgconvoy::wire::{Conninfo, Environment, Session};

use crate::kit;

/// Makes database `name`, owned by a login role of that name, which also makes all that `sql` does.
pub(crate) async fn make_database(cluster: &Cluster, name: &str, sql: &str) {
    let session = cluster.superuser_session("postgres").await.unwrap();
    let role = format!("CREATE ROLE {name} LOGIN PASSWORD 'of {name}'");
    session.execute("making a role", &role).await.unwrap();
    let database = format!("CREATE DATABASE {name} OWNER {name}");
    session.execute("making a database", &database).await.unwrap();
    change(cluster, name, &format!("SET ROLE {name}; {sql}")).await;
}

/// Runs `sql` in a database as its server's superuser.
pub(crate) async fn change(cluster: &Cluster, database: &str, sql: &str) {
    let session = cluster.superuser_session(database).await.unwrap();
    let sql = format!("SET search_path = public; {sql}");
    if let Err(error) = session.execute("changing a trial's database", &sql).await {
        panic!("{error}");
    }
}

/// One value as text, read by the server's superuser under an empty search_path.
pub(crate) async fn ask(cluster: &Cluster, database: &str, sql: &str) -> String {
    kit::ask(&cluster.superuser_conninfo(database), sql).await
}

/// What a table holds: how many rows, and the sum of a hash of each as text.
pub(crate) async fn rows(cluster: &Cluster, database: &str, table: &str) -> String {
    let sql = format!(
        "SELECT count(*) || ' rows, ' || coalesce(sum(hashtextextended(t::text, 0)), 0) \
         FROM ONLY public.{table} t"
    );
    ask(cluster, database, &sql).await
}

/// Fails unless both sides hold the same rows in every table of public.
pub(crate) async fn assert_same_rows(source: &Cluster, target: &Cluster, database: &str) {
    let sql = "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c \
               WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace";
    let tables = ask(source, database, sql).await;
    assert_eq!(tables, ask(target, database, sql).await);
    for table in tables.split(' ') {
        let (ours, theirs) =
            (rows(source, database, table).await, rows(target, database, table).await);
        assert_eq!(ours, theirs, "{database}, {table}");
    }
}

/// What a run said and came to.
pub(crate) struct Watched {
    pub(crate) reports: Vec<DatabaseReport>,
    pub(crate) ended: Result<()>,
    pub(crate) events: Vec<Event>,
}

impl Watched {
    /// The only database's report, of a run that is to end well and find nothing different.
    pub(crate) fn clean(&self) -> &DatabaseReport {
        if let Err(error) = &self.ended {
            panic!("{error}");
        }
        let [report] = self.reports.as_slice() else { panic!("{:#?}", self.reports) };
        assert!(report.verification.is_clean(), "{:#?}", report.verification);
        report
    }

    /// The error of a run that is to fail, as people see it.
    pub(crate) fn error(&self) -> &pgconvoy::error::Error {
        match &self.ended {
            Err(error) => error,
            Ok(()) => panic!("the run ended well: {:#?}", self.reports),
        }
    }

    /// Everything that was said in passing.
    pub(crate) fn notes(&self) -> String {
        let notes = self.events.iter().filter_map(|event| match event {
            Event::Note(text) => Some(format!("{text}\n")),
            _ => None,
        });
        notes.collect()
    }
}

/// Runs a migration to its end.
pub(crate) async fn run(request: &Request) -> Watched {
    interrupt(request, |_| false).await
}

/// Runs a migration and stops it, as Ctrl-C does, at the first event for which `when` holds.
pub(crate) async fn interrupt(request: &Request, mut when: impl FnMut(&Event) -> bool) -> Watched {
    let (stopper, stop) = Stop::new();
    let seen = |event: &Event| {
        if when(event) {
            stopper.stop();
        }
        std::future::ready(())
    };
    watch(request, stop, seen).await
}

/// Runs a migration and does `harm` at the first event for which `when` holds.
pub(crate) async fn harm<F: Future<Output = ()>>(
    request: &Request,
    mut when: impl FnMut(&Event) -> bool,
    harm: impl FnOnce() -> F,
) -> Watched {
    let (_stopper, stop) = Stop::new();
    let mut harm = Some(harm);
    let seen = |event: &Event| {
        let now = when(event).then(|| harm.take()).flatten();
        async move {
            if let Some(harm) = now {
                harm().await;
            }
        }
    };
    watch(request, stop, seen).await
}

/// Runs a migration that can't read `table` of the source, stops it at the first event for which
/// `when` holds, and lets go of the table. It takes one worker more than the table has chunks.
pub(crate) async fn interrupt_without(
    source: &Cluster,
    table: &str,
    request: &Request,
    when: impl FnMut(&Event) -> bool,
) -> Watched {
    // The leader has locked the table by then; whoever asks after us waits for us.
    let planned = |event: &Event| matches!(event, Event::Planned { .. });
    let lock = format!("public.{table} IN ACCESS EXCLUSIVE MODE");
    interrupt_held_up(source, (&lock, planned), request, when).await
}

/// Runs a migration, locks a table of `server` as `lock` says from the first event on for which its
/// condition holds, stops the run at the first one for which `when` holds, and lets go of the lock.
pub(crate) async fn interrupt_held_up(
    server: &Cluster,
    (lock, mut held_from): (&str, impl FnMut(&Event) -> bool),
    request: &Request,
    mut when: impl FnMut(&Event) -> bool,
) -> Watched {
    let [name] = request_databases(request) else { panic!("one database at a time") };
    let lock = format!("BEGIN; LOCK TABLE {lock}");
    let mut locker = Some((server.superuser_conninfo(name), lock));
    let mut holding = None;
    let watched = interrupt(request, |event| {
        if held_from(event)
            && let Some((conninfo, lock)) = locker.take()
        {
            holding = Some(tokio::spawn(async move {
                let conninfo = Conninfo::parse(&conninfo, &Environment::default()).unwrap();
                let session = Session::connect(&conninfo).await.unwrap();
                let _ends_with_its_session = session.execute("holding a run up", &lock).await;
                std::future::pending::<()>().await;
            }));
        }
        when(event)
    })
    .await;
    holding.unwrap().abort();
    watched
}

fn request_databases(request: &Request) -> &[String] {
    match &request.databases {
        Databases::Named(names) => names,
        other => panic!("{other:?}"),
    }
}

async fn watch<F: Future<Output = ()>>(
    request: &Request,
    mut stop: Stop,
    mut seen: impl FnMut(&Event) -> F,
) -> Watched {
    let (events, mut heard) = Events::new();
    let moving = async {
        let moved = commands::migrate(request, &events, &mut stop).await;
        drop(events);
        moved
    };
    let watching = async {
        let mut all = Vec::new();
        while let Some(event) = heard.recv().await {
            seen(&event).await;
            all.push(event);
        }
        all
    };
    let ((reports, ended), events) = tokio::join!(moving, watching);
    Watched { reports, ended, events }
}
