use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Ok(Args::try_parse_from(line.split(' '))?.command)
}

#[test]
fn the_definition_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn the_flags_of_each_command_are_these() {
    let mut all = Args::command();
    all.build();
    let flags = |command: &clap::Command| {
        let names = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned));
        names.filter(|name| name != "help").collect::<Vec<_>>().join(" ")
    };
    let commands = all.get_subcommands().filter(|command| command.get_name() != "help");
    let table: Vec<String> =
        commands.map(|c| format!("{}: {}", c.get_name(), flags(c)).trim_end().to_owned()).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    migrate: source target database all-databases schema exclude-schema table include exclude-table exclude-table-data extension exclude-extension where map-role jobs restart clean verify retry-for stall-timeout no-analyze strict carry-passwords toast-compression warm fence json
    check: source target database all-databases schema exclude-schema table include exclude-table exclude-table-data extension exclude-extension where map-role restart clean strict toast-compression fence json
    plan: source target database all-databases schema exclude-schema table include exclude-table exclude-table-data extension exclude-extension where map-role jobs json
    verify: source target database all-databases schema exclude-schema table include exclude-table exclude-table-data extension exclude-extension where map-role jobs deep json
    restore: target jobs restart clean schema-only data-only section list use-list map-role verify retry-for no-analyze strict json schema exclude-schema table include exclude-table exclude-table-data extension exclude-extension
    status: target database json
    finish: target database drop-ledger json
    unfence: source json
    dump: source database file format compress for-pg-restore schema-only data-only schema exclude-schema table include exclude-table exclude-table-data extension exclude-extension where map-role jobs retry-for json
    inspect: json
    webstream:
    demo: size jobs keep json
    bench: job compress data scale jobs rounds tool tls round-trip out json
    completions:
    man:
    "#);
}

#[test]
fn help_fits_a_page_and_says_what_a_connection_string_is() {
    let mut all = Args::command();
    all.build();
    for command in all.get_subcommands_mut() {
        let help = command.render_long_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        if command.get_arguments().any(|arg| arg.get_id() == "source") {
            assert!(help.contains("postgresql://") && help.contains("Exit codes"), "{help}");
        }
    }
}

#[test]
fn every_flag_is_taken() {
    let all = "pgconvoy migrate --source host=a --target host=b --database x --database y \
               -j 4 --verify counts --retry-for 5 --stall-timeout 9 --no-analyze --strict \
               --carry-passwords --toast-compression lz4 --json";
    let Command::Migrate(args) = parse(all).unwrap() else { panic!() };
    assert_eq!((args.sides.source.as_str(), args.sides.target.as_str()), ("host=a", "host=b"));
    assert_eq!(args.sides.chosen.databases, ["x", "y"]);
    assert_eq!(args.jobs.jobs.unwrap().get(), 4);
    assert_eq!(args.verify, ReadBack::Counts);
    assert!(args.no_analyze && args.strict && args.carry_passwords && args.output.json);
    assert_eq!(args.compressed.toast_compression, Some(Compression::Lz4));
    for line in [
        "pgconvoy check --source a --target b --all-databases --strict --restart --json",
        "pgconvoy migrate --source a --target b --clean",
        "pgconvoy check --source a --target b --toast-compression pglz",
        "pgconvoy check --source a --target b -n a -N b -t c -T d -e e --map-role f=g",
        "pgconvoy plan --source a --include a --exclude b --exclude-table-data c --where d=e",
        "pgconvoy plan --source a --database x -j 2 --json",
        "pgconvoy plan --source a --target b --all-databases --jobs 2",
        "pgconvoy verify --source a --target b -j2 --database x --json",
        "pgconvoy restore a.dump --target b -j 2 --schema-only --map-role f=g --json",
        "pgconvoy restore a.dump --target b -a --section data --section post-data -t x -L list",
        "pgconvoy restore a.dump --list --section data",
        "pgconvoy restore - --target b",
        "pgconvoy status --target b --database x --database y --json",
        "pgconvoy finish --target b --database x --drop-ledger --json",
        "pgconvoy dump --source b --file x -F custom -Z zstd:3 -j 4 --for-pg-restore 16 -s --json",
        "pgconvoy inspect shop.dump --json",
        "pgconvoy demo --size 50MB -j 2 --keep --json",
        "pgconvoy bench --data narrow --data wide --scale 0.1 -j 2 --rounds 5 --out x --json",
        "pgconvoy bench --job restore --compress none --compress gzip:1",
        "pgconvoy completions bash",
        "pgconvoy man migrate",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_code_for_usage() {
    for line in [
        "pgconvoy",
        "pgconvoy migrate --source a",
        "pgconvoy migrate --source a --target b --database x --all-databases",
        "pgconvoy migrate --source a --target b -j 0",
        "pgconvoy migrate --source a --target b --restart --clean",
        "pgconvoy migrate --source a --target b --verify some",
        "pgconvoy migrate --source a --target b --password x",
        "pgconvoy dump --source a",
        "pgconvoy dump --source a --file x --schema-only --data-only",
        "pgconvoy restore x --target b --schema-only --data-only",
        "pgconvoy restore x --target b --section rows",
        "pgconvoy restore x",
        "pgconvoy restore x --list --json",
        "pgconvoy demo --size much",
        "pgconvoy bench --data other",
        "pgconvoy bench --rounds 0",
        "pgconvoy bench --job vacuum",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}
