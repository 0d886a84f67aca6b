//! From the command line to the exit code.

use std::io::Write;

use clap::{CommandFactory, Parser};

use crate::commands::{self, DatabaseReport, Environment, Sources, Stop};
use crate::error::{Error, Kind, Result};

use super::args::{self, Args, Command};
use super::defect;
use super::exit::Exit;
use super::interrupt;
use super::json::ResultLine;
use super::messages::Messages;
use super::output::Output;
use super::progress;
use super::{
    bench_view, check_view, dump_view, inspect_view, plan_view, requests, source_view, status_view,
    summary,
};

/// Runs the program; its exit code.
pub fn run() -> u8 {
    match Args::try_parse() {
        Ok(args) => run_command(&args.command).code(),
        Err(error) => explain(&error).code(),
    }
}

/// Help and version were asked for, or the command line makes no sense.
fn explain(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // There is nobody to tell that the reader is gone.
        let _ = error.print();
        return Exit::Done;
    }
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let shown = error.render().to_string();
    let harmless = without_connections(&shown, &words);
    let _ = match harmless == shown {
        true => error.print(),
        false => std::io::stderr().write_all(harmless.as_bytes()),
    };
    if words.iter().any(|word| word == "--json") {
        let usage = Error::usage("reading the command line").because(harmless);
        Output::new(true).line(&ResultLine::error(&usage));
    }
    Exit::Usage
}

/// What is wrong with the command line, without repeating connection strings, which may hold
/// passwords.
fn without_connections(text: &str, words: &[String]) -> String {
    let values = words.iter().map(|word| match word.strip_prefix("--") {
        Some(flag) => flag.split_once('=').map_or("", |(_, value)| value),
        None => word.as_str(),
    });
    let connections = values.filter(|value| value.contains("://") || value.contains("password"));
    connections.fold(text.to_owned(), |text, value| text.replace(value, "…"))
}

fn run_command(command: &Command) -> Exit {
    let output = Output::new(command.json());
    let messages = Messages::new(!command.json());
    let ended = defect::told(|| match tokio::runtime::Runtime::new() {
        Err(error) => Err(Error::step("starting the threads").io(error)),
        Ok(runtime) => {
            runtime.block_on(execute(command, &messages, &output))
            // Dropping the runtime waits for servers that are just being started.
        }
    });
    match ended.and_then(|exit| output.end().map(|()| exit)) {
        Ok(exit) => exit,
        Err(error) => {
            if output.is_json() {
                output.line(&ResultLine::error(&error));
            }
            messages.fail(&error);
            error.kind().into()
        }
    }
}

async fn execute(command: &Command, messages: &Messages, output: &Output) -> Result<Exit> {
    let (stopper, mut stop) = Stop::new();
    let _listening = interrupt::listen(stopper, messages.clone(), on_interrupt(command));
    let session = Session { messages, output, environment: Environment::capture() };
    let ended = match command {
        Command::Migrate(args) => Box::pin(session.migrate(args, &mut stop)).await,
        Command::Check(args) => session.check(args, &mut stop).await,
        Command::Plan(args) => session.plan(args, &mut stop).await,
        Command::Verify(args) => Box::pin(session.verify(args, &mut stop)).await,
        Command::Restore(args) => Box::pin(session.restore(args, &mut stop)).await,
        Command::Status(args) => session.status(args, &mut stop).await,
        Command::Finish(args) => session.finish(args, &mut stop).await,
        Command::Unfence(args) => session.unfence(args, &mut stop).await,
        Command::Dump(args) => Box::pin(session.dump(args, &mut stop)).await,
        Command::Inspect(args) => session.inspect(args, &mut stop).await,
        Command::Webstream(step) => Box::pin(session.webstream(step, &mut stop)).await,
        Command::Demo(args) => Box::pin(session.demo(args, &mut stop)).await,
        Command::Bench(args) => Box::pin(session.bench(args, &mut stop)).await,
        Command::Completions(args) => session.completions(args),
        Command::Man(args) => session.man(args),
    };
    match stop.is_stopped() {
        // What failed because it was stopped was stopped.
        true => ended.map_err(|error| error.as_kind(Kind::Interrupted)),
        false => ended,
    }
}

fn on_interrupt(command: &Command) -> &'static str {
    match command {
        Command::Migrate(args) if args.beginning.restart => {
            "stopping: run the same command without --restart to go on (Ctrl-C again stops at once)"
        }
        Command::Restore(args) if args.beginning.restart => {
            "stopping: run the same command without --restart to go on (Ctrl-C again stops at once)"
        }
        Command::Webstream(args::Webstream::Migrate(args)) if args.restart => {
            "stopping: run the same command without --restart to go on (Ctrl-C again stops at once)"
        }
        Command::Migrate(_) | Command::Dump(_) | Command::Restore(_) | Command::Webstream(_) => {
            "stopping: run the same command again to go on (Ctrl-C again stops at once)"
        }
        Command::Demo(_) | Command::Bench(_) => "stopping: the servers are removed",
        _ => "stopping",
    }
}

/// What every command has at hand.
pub(super) struct Session<'a> {
    pub(super) messages: &'a Messages,
    pub(super) output: &'a Output,
    pub(super) environment: Environment,
}

impl Session<'_> {
    async fn migrate(&self, args: &args::Migrate, stop: &mut Stop) -> Result<Exit> {
        let request = requests::migrate(args, &self.environment)?;
        self.messages.warn_about(&[&request.source, &request.target]);
        let (reports, ended) = progress::shown(self.messages, self.output, async |events| {
            commands::migrate(&request, events, stop).await
        })
        .await;
        self.reports(&reports, summary::migrated);
        ended.map(|()| Exit::of_reports(&reports))
    }

    async fn check(&self, args: &args::Check, stop: &mut Stop) -> Result<Exit> {
        let request = requests::check(args, &self.environment)?;
        self.messages.warn_about(&[&request.source, &request.target]);
        let all = stop.or(commands::check(&request)).await?;
        for checked in &all {
            let refused = checked.is_refused(args.strict);
            self.output.show(&ResultLine::Check { refused, checked }, |page| {
                check_view::show(page, checked, args.strict);
            });
        }
        Ok(Exit::of_checks(&all, args.strict))
    }

    async fn plan(&self, args: &args::Plan, stop: &mut Stop) -> Result<Exit> {
        let request = requests::plan(args, &self.environment)?;
        self.messages.warn_about(&[&request.source, &request.target]);
        let target = args.target.is_some().then_some(&request.target);
        for planned in stop.or(commands::plan(&request, target)).await? {
            self.output.show(&ResultLine::Plan(&planned), |page| plan_view::show(page, &planned));
        }
        Ok(Exit::Done)
    }

    async fn verify(&self, args: &args::Verify, stop: &mut Stop) -> Result<Exit> {
        let request = requests::verify(args, &self.environment)?;
        self.messages.warn_about(&[&request.source, &request.target]);
        let reports = progress::shown(self.messages, self.output, async |events| {
            commands::verify(&request, events, stop).await
        })
        .await?;
        self.reports(&reports, summary::verified);
        Ok(Exit::of_reports(&reports))
    }

    async fn restore(&self, args: &args::Restore, stop: &mut Stop) -> Result<Exit> {
        if args.list {
            let part = requests::restored_part(args)?;
            let list = stop.or(commands::list_archive(&args.archive, &part)).await?;
            self.output.put(list.as_bytes());
            return Ok(Exit::Done);
        }
        let request = requests::restore(args, &self.environment)?;
        self.messages.warn_about(&[&request.target]);
        let report = progress::shown(self.messages, self.output, async |events| {
            commands::restore(&request, events, stop).await
        })
        .await?;
        let reports = [report];
        self.reports(&reports, summary::restored);
        Ok(Exit::of_reports(&reports))
    }

    async fn status(&self, args: &args::Status, stop: &mut Stop) -> Result<Exit> {
        let targets = requests::status(args, &self.environment)?;
        self.messages.warn_about(&targets.iter().collect::<Vec<_>>());
        for target in &targets {
            let status = stop.or(commands::status(target)).await?;
            self.output.show(&ResultLine::Status(&status), |page| status_view::show(page, &status));
        }
        Ok(Exit::Done)
    }

    async fn finish(&self, args: &args::Finish, stop: &mut Stop) -> Result<Exit> {
        let targets = requests::finish(args, &self.environment)?;
        self.messages.warn_about(&targets.iter().collect::<Vec<_>>());
        for target in &targets {
            let finished = stop.or(commands::finish(target, args.drop_ledger)).await?;
            self.output.show(&ResultLine::Finish(&finished), |page| {
                status_view::finished(page, &finished);
            });
        }
        Ok(Exit::Done)
    }

    async fn unfence(&self, args: &args::Unfence, stop: &mut Stop) -> Result<Exit> {
        let source = requests::unfence(args, &self.environment)?;
        self.messages.warn_about(&[&source]);
        let unfenced = stop.or(commands::unfence(&source)).await?;
        self.output.show(&ResultLine::Unfence(&unfenced), |page| {
            source_view::unfenced(page, &unfenced);
        });
        Ok(Exit::Done)
    }

    async fn dump(&self, args: &args::Dump, stop: &mut Stop) -> Result<Exit> {
        let request = requests::dump(args, &self.environment)?;
        if request.path.is_none() && self.output.is_json() {
            return Err(Error::usage("dumping to standard output")
                .because("it is the archive, and --json writes there as well")
                .hint("leave --json away, or give a path by --file"));
        }
        self.messages.warn_about(&[&request.source]);
        let dumped = progress::shown(self.messages, self.output, async |events| {
            commands::dump(&request, events, stop).await
        })
        .await?;
        match request.path {
            Some(_) => {
                self.output.show(&ResultLine::Dump(&dumped), |page| dump_view::show(page, &dumped));
            }
            // Standard output is the archive itself.
            None => self.messages.show(|page| dump_view::show(page, &dumped)),
        }
        Ok(Exit::Done)
    }

    async fn inspect(&self, args: &args::Inspect, stop: &mut Stop) -> Result<Exit> {
        let inspected = stop.or(commands::inspect(&args.archive)).await?;
        let sound = inspected.is_sound();
        self.output.show(&ResultLine::Inspect { sound, inspected: &inspected }, |page| {
            inspect_view::show(page, &inspected);
        });
        Ok(if sound { Exit::Done } else { Exit::Different })
    }

    async fn demo(&self, args: &args::Demo, stop: &mut Stop) -> Result<Exit> {
        let messages = self.messages.clone();
        let sources = Sources::from_environment(move |line| messages.say(line))?;
        let request = requests::demo(args);
        // Nothing of a demo is worth a clean end: dropping it removes the servers.
        let (_, mut never) = Stop::new();
        let result = progress::shown(self.messages, self.output, async |events| {
            stop.or(Box::pin(commands::demo(&request, &sources, events, &mut never))).await
        })
        .await?;
        self.reports(&result.reports, summary::migrated);
        if !result.kept.is_empty() {
            self.output.show(&ResultLine::Kept { servers: &result.kept }, |page| {
                page.line(0, super::page::Tone::Strong, "the servers stay up");
                for line in &result.kept {
                    page.block(2, super::page::Tone::Plain, line);
                }
            });
        }
        Ok(Exit::of_reports(&result.reports))
    }

    async fn bench(&self, args: &args::Bench, stop: &mut Stop) -> Result<Exit> {
        let request = requests::bench(args)?;
        if let Some(folder) = &args.out {
            bench_view::make(folder)?;
        }
        let messages = self.messages.clone();
        let sources = Sources::from_environment(move |line| messages.say(line))?;
        let results = progress::shown(self.messages, self.output, async |events| {
            commands::bench(&request, &sources, events, stop).await
        })
        .await?;
        if let Some(folder) = &args.out {
            bench_view::write(folder, &results)?;
        }
        self.output.show(&ResultLine::Bench(&results), |page| bench_view::show(page, &results));
        Ok(Exit::Done)
    }

    fn completions(&self, args: &args::Completions) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(args.shell, &mut Args::command(), "pgconvoy", &mut script);
        self.output.put(&script);
        Ok(Exit::Done)
    }

    fn man(&self, args: &args::Man) -> Result<Exit> {
        let mut all = Args::command();
        all.build();
        let command = match &args.command {
            None => all,
            Some(name) => all.find_subcommand(name).cloned().ok_or_else(|| {
                Error::usage("looking for the manual page")
                    .because(format!("there is no command {name}"))
                    .hint("run `pgconvoy --help` for the commands")
            })?,
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|error| Error::step("writing the manual page").io(error))?;
        self.output.put(&page);
        Ok(Exit::Done)
    }

    pub(super) fn reports(
        &self,
        reports: &[DatabaseReport],
        show: impl Fn(&mut super::page::Page, &DatabaseReport),
    ) {
        for report in reports {
            self.output.show(&ResultLine::report(report), |page| show(page, report));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_that_makes_no_sense_is_told_without_its_connections() {
        for words in [
            &["pgconvoy", "status", "postgresql://ann:hunter2@db/shop"][..],
            &["pgconvoy", "status", "host=db password=hunter2"],
            &["pgconvoy", "status", "--targte=host=db password=hunter2"],
            &["pgconvoy", "postgresql://ann:hunter2@db/shop"],
        ] {
            let error = Args::try_parse_from(words).err().unwrap().render().to_string();
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            let told = without_connections(&error, &words);
            assert!(told.contains("error: ") && !told.contains("hunter2"), "{told}");
        }
    }
}
