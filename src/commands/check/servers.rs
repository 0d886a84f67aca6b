//! How the servers are reached: the target must be the one writer, every connection must get to
//! the same server and keep its session, and the two sides must not be one database.

use crate::commands::databases;
use crate::engine::SourceIdentity;
use crate::error::Result;
use crate::toc::Finding;
use crate::wire::Session;

use super::sides::Sides;

/// A server as one connection found it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reached {
    /// The system identifier, where it may be read; a replica has its primary's.
    system: String,
    /// When it was started: what tells a replica from its primary.
    started: String,
}

/// What two connections to one side met.
#[derive(Debug, Clone)]
struct Side {
    name: &'static str,
    first: Reached,
    second: Reached,
    /// The server process of the first connection; of the second, in a transaction meanwhile; of
    /// the first again.
    processes: [i32; 3],
    database: String,
    is_writer: Writer,
}

/// Whether a server takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Yes,
    InRecovery,
    ReadOnlyByDefault,
}

/// Looks at both sides over two connections each.
pub(super) async fn findings(sides: &Sides<'_>, goes_on: bool) -> Result<Vec<Finding>> {
    let (ours, theirs) = (&sides.pair.source, &sides.pair.target);
    let (source, mut target) = tokio::try_join!(
        observe("source", &sides.source, Session::connect(ours), ours.database()),
        observe("target", sides.target(), databases::maintenance(theirs), theirs.database()),
    )?;
    if goes_on && target.is_writer == Writer::ReadOnlyByDefault {
        // The job itself may have made the database so, and its sessions write all the same.
        target.is_writer = Writer::Yes;
    }
    let through = sides.pair.target.display();
    Ok(judge(&source, &target, &through))
}

async fn observe(
    name: &'static str,
    first: &Session,
    second: impl Future<Output = Result<Session>>,
    database: &str,
) -> Result<Side> {
    let (before, second) = tokio::try_join!(process(first), second)?;
    let (_, meanwhile) =
        tokio::try_join!(second.execute("opening a transaction", "BEGIN"), process(&second))?;
    let after = process(first).await?;
    let (_, reached_first, reached_second, is_writer) = tokio::try_join!(
        second.execute("closing a transaction", "ROLLBACK"),
        reached(first),
        reached(&second),
        writer(first),
    )?;
    second.close().await;
    Ok(Side {
        name,
        first: reached_first,
        second: reached_second,
        processes: [before, meanwhile, after],
        database: database.to_owned(),
        is_writer,
    })
}

async fn process(session: &Session) -> Result<i32> {
    let sql = "SELECT pg_catalog.pg_backend_pid()";
    Ok(session.query_one("asking for the server process", sql, &[]).await?.get(0))
}

async fn reached(session: &Session) -> Result<Reached> {
    let sql = "SELECT pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::text";
    let (started, identity) = tokio::try_join!(
        session.query_one("asking when the server was started", sql, &[]),
        SourceIdentity::read(session, ""),
    )?;
    Ok(Reached { system: identity.system, started: started.get(0) })
}

async fn writer(session: &Session) -> Result<Writer> {
    let sql = "SELECT pg_catalog.pg_is_in_recovery(), \
               pg_catalog.current_setting('default_transaction_read_only') = 'on'";
    let row = session.query_one("asking whether the server takes writes", sql, &[]).await?;
    Ok(match (row.get(0), row.get(1)) {
        (true, _) => Writer::InRecovery,
        (false, true) => Writer::ReadOnlyByDefault,
        (false, false) => Writer::Yes,
    })
}

fn judge(source: &Side, target: &Side, through: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for side in [source, target] {
        let object = format!("{} endpoint", side.name);
        if side.first != side.second {
            let what = "two connections reached two servers: a snapshot, or a receipt, of one is \
                        unknown to the other";
            found.push(Finding::refusal(&object, what).mend(
                "name one server: on Aurora the cluster (writer) endpoint or an instance's own, \
                 never a reader or load-balancing endpoint",
            ));
        }
        let [before, meanwhile, after] = side.processes;
        if before == meanwhile || before != after {
            let what = "a pooler hands the session to other server processes between transactions, \
                        so settings, locks and snapshots don't stay with it";
            found.push(
                Finding::refusal(&object, what)
                    .mend("connect to the server itself, or to the pooler in session mode"),
            );
        }
    }
    match target.is_writer {
        Writer::Yes => {}
        Writer::InRecovery => {
            let what =
                format!("{through} is a reader: it replays another server and takes no writes");
            let remedy = "name the writer: on Aurora the cluster endpoint (NAME.cluster-…, not \
                          NAME.cluster-ro-…), on RDS the instance that isn't a read replica";
            found.push(Finding::refusal("target endpoint", what).mend(remedy));
        }
        Writer::ReadOnlyByDefault => {
            let what = format!(
                "transactions on {through} are read-only (default_transaction_read_only is on)"
            );
            let remedy = "name the writer; or, where this is the writer, set \
                          default_transaction_read_only to off for this database and role (ALTER \
                          DATABASE … SET, ALTER ROLE … SET, or the parameter group)";
            found.push(Finding::refusal("target endpoint", what).mend(remedy));
        }
    }
    if source.first == target.first && source.database == target.database {
        let what = format!("is the source itself: database {} of the same server", target.database);
        let remedy = "name another database or another server in --target";
        found.push(Finding::refusal("target database", what).mend(remedy));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &'static str, system: &str) -> Side {
        let reached = Reached { system: system.to_owned(), started: "1".to_owned() };
        Side {
            name,
            first: reached.clone(),
            second: reached,
            processes: [7, 8, 7],
            database: "shop".to_owned(),
            is_writer: Writer::Yes,
        }
    }

    fn objects(source: &Side, target: &Side) -> Vec<String> {
        judge(source, target, "db:5432/shop").into_iter().map(|f| f.object).collect()
    }

    #[test]
    fn two_servers_reached_directly_are_fine() {
        assert!(objects(&side("source", "a"), &side("target", "b")).is_empty());
    }

    #[test]
    fn a_replica_behind_the_same_name_is_refused() {
        let mut target = side("target", "b");
        target.second.started = "2".to_owned();
        assert_eq!(objects(&side("source", "a"), &target), ["target endpoint"]);
    }

    #[test]
    fn a_transaction_pooler_is_refused_however_it_shows() {
        for processes in [[7, 7, 9], [7, 8, 9], [7, 7, 7]] {
            let source = Side { processes, ..side("source", "a") };
            assert_eq!(objects(&source, &side("target", "b")), ["source endpoint"]);
        }
    }

    #[test]
    fn a_reader_is_refused_as_target_only() {
        let reader = |name| Side { is_writer: Writer::InRecovery, ..side(name, name) };
        assert_eq!(objects(&reader("source"), &reader("target")), ["target endpoint"]);
    }

    #[test]
    fn the_source_itself_is_no_target_but_its_neighbour_is() {
        let source = side("source", "a");
        assert_eq!(objects(&source, &side("target", "a")), ["target database"]);
        let neighbour = Side { database: "other".to_owned(), ..side("target", "a") };
        assert!(objects(&source, &neighbour).is_empty());
    }
}
