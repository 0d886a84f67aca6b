//! Arguments as typed become validated requests.

use std::time::Duration;

use crate::commands::{
    self, Beginning, BenchData, BenchRequest, Choice, Compressing, Conninfo, Databases,
    DemoRequest, DumpForm, DumpRequest, Environment, Flag, ItemSection, Layout, PATIENCE, Request,
    RestoreRequest, RestoredPart, RoleMap, Rule, Sequel, ToastCompression, Tool, VerifyMode,
};
use crate::error::{Error, Result};
use crate::webstream::Said;

use super::args::{
    self, ArchiveFormat, Bench, Check, Chosen, Compressed, Compression, Demo, Dump, Finish, Jobs,
    Migrate, Part, Patterns, Plan, ReadBack, Restore, Section, Sides, Status, Unfence, Verify,
};

/// What is said of a step of the WebStream recipe.
pub(super) fn webstream(step: &args::Step) -> Said {
    Said {
        configurations: step.configurations.clone(),
        plan: step.plan.clone(),
        source: step.source.clone(),
        target: step.target.clone(),
        npgsql_version: step.npgsql_version.clone(),
        secrets: step.secrets.clone(),
        out: step.out.clone(),
        clients: step.clients.clone(),
    }
}

/// A migration.
pub(super) fn migrate(args: &Migrate, environment: &Environment) -> Result<Request> {
    let between = between(&args.sides, environment)?;
    let stalling = |conninfo: &Conninfo| match args.stall_timeout {
        Some(seconds) => conninfo.with_stall_timeout(Duration::from_secs(u64::from(seconds.get()))),
        None => conninfo.clone(),
    };
    Ok(Request {
        source: stalling(&between.source),
        target: stalling(&between.target),
        jobs: jobs(&args.jobs),
        verify: verify_mode(args.verify),
        beginning: beginning(&args.beginning),
        patience: args.retry_for.map_or(PATIENCE, Duration::from_secs),
        analyze: !args.no_analyze,
        strict: args.strict,
        carry_passwords: args.carry_passwords,
        toast_compression: toast_compression(&args.compressed),
        warm: args.warm,
        fence: args.fencing.fence.clone(),
        ..between
    })
}

/// Which part of an archive.
pub(super) fn restored_part(args: &Restore) -> Result<RestoredPart> {
    Ok(RestoredPart {
        rows: part(args.schema_only, args.data_only),
        sections: args.sections.iter().map(section).collect(),
        list: args.use_list.clone(),
        choice: Choice::new(rules(&args.patterns)?),
    })
}

/// A restore.
pub(super) fn restore(args: &Restore, environment: &Environment) -> Result<RestoreRequest> {
    Ok(RestoreRequest {
        archive: args.archive.clone(),
        target: parse("--target", args.target.as_deref().unwrap_or_default(), environment)?,
        roles: RoleMap::parse(&args.map_roles)?,
        part: restored_part(args)?,
        beginning: beginning(&args.beginning),
        jobs: jobs(&args.jobs),
        verify: verify_mode(args.verify),
        patience: args.retry_for.map_or(PATIENCE, Duration::from_secs),
        analyze: !args.no_analyze,
        strict: args.strict,
    })
}

fn verify_mode(read_back: ReadBack) -> VerifyMode {
    match read_back {
        ReadBack::Full => VerifyMode::Full,
        ReadBack::Counts => VerifyMode::Counts,
        ReadBack::None => VerifyMode::None,
    }
}

/// A check.
pub(super) fn check(args: &Check, environment: &Environment) -> Result<Request> {
    Ok(Request {
        beginning: beginning(&args.beginning),
        strict: args.strict,
        toast_compression: toast_compression(&args.compressed),
        fence: args.fencing.fence.clone(),
        ..between(&args.sides, environment)?
    })
}

fn toast_compression(args: &Compressed) -> Option<ToastCompression> {
    args.toast_compression.map(|compression| match compression {
        Compression::Pglz => ToastCompression::Pglz,
        Compression::Lz4 => ToastCompression::Lz4,
    })
}

/// A comparison.
pub(super) fn verify(args: &Verify, environment: &Environment) -> Result<Request> {
    Ok(Request { jobs: jobs(&args.jobs), deep: args.deep, ..between(&args.sides, environment)? })
}

/// A plan. Without a target its place in the request is taken by the source, and not used.
pub(super) fn plan(args: &Plan, environment: &Environment) -> Result<Request> {
    let target = args.target.as_ref().unwrap_or(&args.source);
    let request = Request {
        jobs: jobs(&args.jobs),
        ..sides(&args.source, target, &args.chosen, environment)?
    };
    match args.target {
        Some(_) => refuse_itself(request),
        None => Ok(request),
    }
}

/// The databases whose state is asked for.
pub(super) fn status(args: &Status, environment: &Environment) -> Result<Vec<Conninfo>> {
    targets(&args.target, &args.databases, environment)
}

/// The databases that are put to use.
pub(super) fn finish(args: &Finish, environment: &Environment) -> Result<Vec<Conninfo>> {
    targets(&args.target, &args.databases, environment)
}

/// The server whose fence is lifted.
pub(super) fn unfence(args: &Unfence, environment: &Environment) -> Result<Conninfo> {
    parse("--source", &args.source, environment)
}

fn targets(target: &str, databases: &[String], environment: &Environment) -> Result<Vec<Conninfo>> {
    let target = parse("--target", target, environment)?;
    Ok(match databases {
        [] => vec![target],
        names => names.iter().map(|name| target.with_database(name)).collect(),
    })
}

/// A dump.
pub(super) fn dump(args: &Dump, environment: &Environment) -> Result<DumpRequest> {
    let source = parse("--source", &args.source, environment)?;
    let compress = match (&args.compress, args.for_pg_restore) {
        (Some(compress), _) => compress,
        (None, Some(..16)) => "gzip",
        (None, _) => "zstd",
    };
    Ok(DumpRequest {
        source: match &args.database {
            Some(name) => source.with_database(name),
            None => source,
        },
        choice: choice(&args.part)?,
        roles: RoleMap::parse(&args.map_roles)?,
        part: part(args.schema_only, args.data_only),
        path: Some(args.file.clone()).filter(|path| path.as_os_str() != "-"),
        form: match args.format {
            ArchiveFormat::Directory => DumpForm::Archive(Layout::Directory),
            ArchiveFormat::Custom => DumpForm::Archive(Layout::Custom),
            ArchiveFormat::Plain => DumpForm::Script,
        },
        compressing: Compressing::parse(compress)?,
        for_pg_restore: args.for_pg_restore,
        jobs: jobs(&args.jobs),
        patience: args.retry_for.map_or(PATIENCE, Duration::from_secs),
    })
}

fn part(schema_only: bool, data_only: bool) -> commands::Part {
    match (schema_only, data_only) {
        (true, _) => commands::Part::Schema,
        (false, true) => commands::Part::Data,
        (false, false) => commands::Part::Everything,
    }
}

fn section(section: &Section) -> ItemSection {
    match section {
        Section::PreData => ItemSection::PreData,
        Section::Data => ItemSection::Data,
        Section::PostData => ItemSection::PostData,
    }
}

/// A demo.
pub(super) fn demo(args: &Demo) -> DemoRequest {
    DemoRequest { size: args.size, jobs: jobs(&args.jobs), keep: args.keep }
}

/// A benchmark.
pub(super) fn bench(args: &Bench) -> Result<BenchRequest> {
    if !(args.scale > 0.0 && args.scale <= 100.0) {
        return Err(Error::usage(format!("reading --scale {}", args.scale))
            .hint("give a number above 0, up to 100"));
    }
    if let Some(tool) = args.tools.iter().find(|tool| !tool.does(args.job)) {
        return Err(Error::usage(format!("reading --tool {}", tool.key()))
            .because("it doesn't do this --job")
            .hint("leave it out, or measure --job migrate"));
    }
    Ok(BenchRequest {
        job: args.job,
        compress: args.compress.iter().map(|how| Compressing::parse(how)).collect::<Result<_>>()?,
        folder: args.out.clone(),
        data: match args.data.as_slice() {
            [] => BenchData::ALL.to_vec(),
            some => some.to_vec(),
        },
        scale: args.scale,
        jobs: jobs(&args.jobs),
        rounds: usize::from(args.rounds.get()),
        tools: match args.tools.as_slice() {
            [] => Tool::ALL.to_vec(),
            some => some.to_vec(),
        },
        tls: args.tls,
        round_trip: args.round_trip.map(|ms| Duration::from_millis(u64::from(ms.get()))),
    })
}

fn choice(part: &Part) -> Result<Choice> {
    let mut all = rules(&part.patterns)?;
    for text in &part.rows {
        all.push(Rule::rows(text)?);
    }
    Ok(Choice::new(all))
}

fn rules(part: &Patterns) -> Result<Vec<Rule>> {
    let by_flag = [
        (Flag::Schema, &part.schemas),
        (Flag::ExcludeSchema, &part.exclude_schemas),
        (Flag::Table, &part.tables),
        (Flag::Include, &part.include),
        (Flag::ExcludeTable, &part.exclude_tables),
        (Flag::ExcludeTableData, &part.exclude_table_data),
        (Flag::Extension, &part.extensions),
        (Flag::ExcludeExtension, &part.exclude_extensions),
    ];
    let rules = by_flag
        .into_iter()
        .flat_map(|(flag, patterns)| patterns.iter().map(move |text| Rule::new(flag, text)));
    rules.collect()
}

fn between(args: &Sides, environment: &Environment) -> Result<Request> {
    refuse_itself(sides(&args.source, &args.target, &args.chosen, environment)?)
}

fn sides(
    source: &str,
    target: &str,
    chosen: &Chosen,
    environment: &Environment,
) -> Result<Request> {
    Ok(Request {
        source: parse("--source", source, environment)?,
        target: parse("--target", target, environment)?,
        databases: databases(chosen),
        choice: choice(&chosen.part)?,
        roles: RoleMap::parse(&chosen.map_roles)?,
        beginning: Beginning::GoOn,
        jobs: None,
        verify: VerifyMode::Full,
        deep: false,
        patience: PATIENCE,
        analyze: true,
        strict: false,
        carry_passwords: false,
        warm: false,
        fence: Vec::new(),
        toast_compression: None,
        sequel: Sequel::OF_MIGRATE,
    })
}

fn parse(flag: &str, text: &str, environment: &Environment) -> Result<Conninfo> {
    Conninfo::parse(text, environment).map_err(|error| error.within(flag))
}

fn databases(chosen: &Chosen) -> Databases {
    match (chosen.all_databases, chosen.databases.as_slice()) {
        (true, _) => Databases::All,
        (false, []) => Databases::AsGiven,
        (false, names) => {
            let mut unique: Vec<String> = Vec::with_capacity(names.len());
            for name in names {
                if !unique.contains(name) {
                    unique.push(name.clone());
                }
            }
            Databases::Named(unique)
        }
    }
}

/// A database that is moved onto itself: easily asked for, as PGHOST completes both sides.
fn refuse_itself(request: Request) -> Result<Request> {
    let Request { source, target, .. } = &request;
    let is_same = match &request.databases {
        Databases::AsGiven => source.display() == target.display(),
        Databases::Named(_) | Databases::All => {
            source.with_database("").display() == target.with_database("").display()
        }
    };
    match is_same {
        false => Ok(request),
        true => Err(Error::usage("reading --source and --target")
            .because(format!("both are {}", target.display()))
            .hint("name the host, port and dbname of each side; PG* variables complete both")),
    }
}

fn beginning(args: &args::Beginning) -> Beginning {
    match (args.restart, args.clean) {
        (true, _) => Beginning::Restart,
        (false, true) => Beginning::Clean,
        (false, false) => Beginning::GoOn,
    }
}

fn jobs(args: &Jobs) -> Option<usize> {
    args.jobs.map(|jobs| usize::from(jobs.get()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Args, Command};
    use super::*;
    use crate::error::Kind;

    fn environment() -> Environment {
        Environment {
            variables: [("PGHOST".to_owned(), "db.example".to_owned())].into(),
            home: None,
            user: Some("ann".into()),
        }
    }

    fn migration(line: &str) -> Result<Request> {
        let words = ["pgconvoy", "migrate"].into_iter().chain(line.split(' '));
        match Args::try_parse_from(words).unwrap().command {
            Command::Migrate(args) => migrate(&args, &environment()),
            _ => panic!("{line}"),
        }
    }

    #[test]
    fn what_the_strings_leave_out_comes_from_the_environment() {
        let request = migration("--source dbname=a --target host=other -j 3").unwrap();
        assert_eq!(request.source.display(), "db.example:5432/a");
        assert_eq!(request.target.display(), "other:5432/ann");
        assert_eq!(request.jobs(), 3);
        assert_eq!(request.databases, Databases::AsGiven);
    }

    #[test]
    fn databases_are_named_once() {
        let line = "--source host=a --target host=b --database x --database y --database x";
        let request = migration(line).unwrap();
        assert_eq!(request.databases, Databases::Named(vec!["x".into(), "y".into()]));
        let request = migration("--source host=a --target host=b --all-databases").unwrap();
        assert_eq!(request.databases, Databases::All);
    }

    #[test]
    fn a_database_is_not_moved_onto_itself() {
        for line in [
            "--source dbname=a --target dbname=a",
            "--source dbname=a --target dbname=b --database x",
            "--source port=5432 --target host=db.example --all-databases",
        ] {
            let error = migration(line).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{line}");
        }
        assert!(migration("--source dbname=a --target dbname=b").is_ok());
    }

    #[test]
    fn a_bad_string_is_refused_under_its_flag() {
        let error = migration("--source port=x --target host=b").unwrap_err();
        assert!(error.to_string().starts_with("--source: "), "{error}");
    }
}
