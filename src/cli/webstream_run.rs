//! `pgconvoy webstream run`: all steps, one after the other, from where an earlier run stopped. It asks
//! before each that changes something.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use crate::commands::Stop;
use crate::error::{Error, Kind, Result};
use crate::webstream::{Next, Recipe};

use super::args::{
    Webstream, WebstreamCheck, WebstreamMigrate, WebstreamProvision, WebstreamRepoint,
    WebstreamRetire, WebstreamRun,
};
use super::exit::Exit;
use super::page::Tone;
use super::run::Session;
use super::services_view;

impl Session<'_> {
    /// Walks the steps that are left.
    pub(super) async fn webstream_run(
        &self,
        args: &WebstreamRun,
        recipe: &mut Recipe,
        stop: &mut Stop,
    ) -> Result<Exit> {
        // Whoever goes on with a plan that says it needn't say it again.
        if let Some(file) = &args.root_certificate {
            recipe.record.root_certificate = Some(file.clone());
            recipe.keep()?;
        }
        if let Some(who) = &args.signed_in {
            match recipe.next()? {
                Some(Next::SignIn) => recipe.signed_in(who)?,
                Some(Next::Retire) | None => {}
                Some(before) => {
                    return Err(Error::usage("reading --signed-in")
                        .because(format!(
                            "{} isn't done, so nobody can have signed in",
                            before.name()
                        ))
                        .hint("leave --signed-in out until the services are led to the target"));
                }
            }
        }
        while let Some(next) = recipe.next()? {
            self.heading(next);
            if let Next::SignIn = next {
                self.sign_in(args, recipe, stop).await?;
                continue;
            }
            let step = step(next, args);
            if let Webstream::Repoint(repoint) = &step {
                let shown =
                    Webstream::Repoint(WebstreamRepoint { dry_run: true, ..repoint.clone() });
                Box::pin(self.webstream_step(&shown, recipe, stop)).await?;
            }
            if next == Next::Migrate && !self.output.is_json() {
                let mut page = self.output.page();
                services_view::stopping(&mut page);
                self.output.put(page.into_text().as_bytes());
            }
            self.ask(next, args, stop).await?;
            let exit = Box::pin(self.webstream_step(&step, recipe, stop)).await?;
            if !matches!(exit, Exit::Done) {
                let name = next.name();
                let words = format!("stopping after {name}: see to that, then run the same again");
                self.messages.say(&words);
                return Ok(exit);
            }
            if recipe.next()? == Some(next) {
                return Err(Error::step(format!("taking the step {}", next.name()))
                    .because("it went well, and isn't done all the same")
                    .hint("take it by itself, look at what it says, and report this"));
            }
        }
        self.messages.say("all steps are done");
        Ok(Exit::Done)
    }

    fn heading(&self, next: Next) {
        if !self.output.is_json() {
            let mut page = self.output.page();
            page.line(0, Tone::Strong, &format!("== {} ==", next.name()));
            self.output.put(page.into_text().as_bytes());
        }
    }

    /// Asks whether a step is to be taken that changes something.
    async fn ask(&self, next: Next, args: &WebstreamRun, stop: &mut Stop) -> Result<()> {
        let Some(question) = next.question().filter(|_| !args.yes) else { return Ok(()) };
        let answer = stop.or(answer(&format!("{question} [y/N] "))).await?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(stopped(next)),
        }
    }

    /// Signing in to the admin console is a person's: that it worked is on record from then on.
    async fn sign_in(
        &self,
        args: &WebstreamRun,
        recipe: &mut Recipe,
        stop: &mut Stop,
    ) -> Result<()> {
        if args.yes {
            return Err(stopped(Next::SignIn));
        }
        let question = "start the services on every host and sign in to the admin console; if that \
                        works, who says so? (your name; nothing to stop here) ";
        let who = stop.or(answer(question)).await?;
        match who.trim() {
            "" => Err(stopped(Next::SignIn)),
            who => recipe.signed_in(who),
        }
    }
}

fn step(next: Next, args: &WebstreamRun) -> Webstream {
    let step = args.step.clone();
    match next {
        Next::Check => Webstream::Check(WebstreamCheck {
            // The services' hosts may find it elsewhere.
            root_certificate: args
                .root_certificate
                .as_ref()
                .map(PathBuf::from)
                .filter(|f| f.is_file()),
            step,
        }),
        Next::Provision => Webstream::Provision(WebstreamProvision {
            locales: args.locales.clone(),
            encodings: args.encodings.clone(),
            step,
        }),
        Next::Backup => Webstream::Backup(step),
        Next::Migrate => {
            Webstream::Migrate(WebstreamMigrate { despite_sessions: false, restart: false, step })
        }
        Next::Verify => Webstream::Verify(step),
        Next::Repoint => Webstream::Repoint(WebstreamRepoint {
            root_certificate: args.root_certificate.clone(),
            password_ref: args.password_ref,
            dry_run: false,
            step,
        }),
        // Whoever asks for a sign-in wants to know what the services find before.
        Next::Status | Next::SignIn => Webstream::Status(step),
        Next::Retire => Webstream::Retire(WebstreamRetire {
            execute: false,
            service: None,
            dry_run: false,
            step,
        }),
    }
}

fn stopped(before: Next) -> Error {
    let hint = match before {
        Next::SignIn => {
            "sign in, then run the same command again without --yes, or with --signed-in NAME"
        }
        _ => "run the same command again to go on",
    };
    Error::new(Kind::Interrupted, format!("stopping before {}", before.name())).hint(hint)
}

/// A line from standard input. Who reads it is left behind where the answer isn't waited for.
async fn answer(question: &str) -> Result<String> {
    let doing = "asking before the next step";
    let failed = |error| Error::step(doing).io(error);
    let mut err = std::io::stderr();
    write!(err, "{question}").and_then(|()| err.flush()).map_err(failed)?;
    let (tell, told) = futures::channel::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map(|bytes| (bytes, line));
        // Nobody waits for it any more where the run was stopped.
        let _ = tell.send(read);
    });
    match told.await {
        Ok(Ok((0, _))) => Err(Error::new(Kind::Interrupted, doing)
            .because("there is nobody to answer")
            .hint("run it in a terminal, or give --yes")),
        Ok(Ok((_, line))) => Ok(line),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(Error::step(doing).because("standard input can't be read")),
    }
}
