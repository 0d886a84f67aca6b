//! `pgconvoy webstream`: from the arguments of a step to its exit code.

use crate::commands::Stop;
use crate::error::Result;
use crate::webstream::{self, Leading, Moving, Recipe, Tried};

use super::args::Webstream;
use super::exit::Exit;
use super::json::ResultLine;
use super::run::Session;
use super::{
    dump_view, progress, requests, retirement_view, services_view, summary, webstream_view,
};

impl Session<'_> {
    /// Takes a step of the recipe, or all of them.
    pub(super) async fn webstream(&self, args: &Webstream, stop: &mut Stop) -> Result<Exit> {
        let mut recipe = Recipe::open(requests::webstream(args.step()), &self.environment)?;
        let known: Vec<_> = [recipe.source(), recipe.target()].into_iter().flatten().collect();
        self.messages.warn_about(&known);
        match args {
            Webstream::Run(args) => self.webstream_run(args, &mut recipe, stop).await,
            step => self.webstream_step(step, &mut recipe, stop).await,
        }
    }

    /// Takes one.
    pub(super) async fn webstream_step(
        &self,
        args: &Webstream,
        recipe: &mut Recipe,
        stop: &mut Stop,
    ) -> Result<Exit> {
        match args {
            // A run is no step of a run.
            Webstream::Run(_) => Ok(Exit::Done),
            Webstream::Provision(args) => {
                let (locales, encodings) = (args.locales.clone(), args.encodings.clone());
                let all = webstream::provision(recipe, locales, encodings, stop).await?;
                for provisioned in all {
                    self.output.show(&ResultLine::Provisioned(&provisioned), |page| {
                        webstream_view::provisioned(page, &provisioned);
                    });
                }
                Ok(Exit::Done)
            }
            Webstream::Backup(_) => {
                let all = progress::shown(self.messages, self.output, async |events| {
                    Box::pin(webstream::backup(recipe, events, stop)).await
                })
                .await?;
                for dumped in &all {
                    let line = ResultLine::Dump(dumped);
                    self.output.show(&line, |page| dump_view::show(page, dumped));
                }
                Ok(Exit::Done)
            }
            Webstream::Rehearse(_) => {
                let (all, ended) = progress::shown(self.messages, self.output, async |events| {
                    Box::pin(webstream::rehearse(recipe, events, stop)).await
                })
                .await;
                self.webstream_rehearsed(&all);
                ended.map(|()| Exit::of_reports(all.iter().map(|rehearsed| &rehearsed.report)))
            }
            Webstream::Migrate(args) => {
                let moving =
                    Moving { despite_sessions: args.despite_sessions, restart: args.restart };
                let (reports, ended) =
                    progress::shown(self.messages, self.output, async |events| {
                        Box::pin(webstream::migrate(recipe, &moving, events, stop)).await
                    })
                    .await;
                self.reports(&reports, summary::webstream_migrated);
                ended.map(|()| Exit::of_reports(&reports))
            }
            Webstream::Verify(_) => {
                let (reports, written) =
                    progress::shown(self.messages, self.output, async |events| {
                        Box::pin(webstream::verify(recipe, events, stop)).await
                    })
                    .await?;
                self.reports(&reports, summary::verified);
                match (&written, &recipe.record.done.verified) {
                    (Some(path), _) => self.output.show(&ResultLine::SignOff { path }, |page| {
                        webstream_view::sign_off(page, path);
                    }),
                    (None, Some(at)) => self.messages.say(&format!(
                        "the configurations lead to the target: what differs may be what the \
                         services wrote there since; the clean verification of {at} and its report \
                         stay on record"
                    )),
                    (None, None) => {}
                }
                Ok(Exit::of_reports(&reports))
            }
            Webstream::Repoint(args) => {
                let leading = Leading {
                    root_certificate: args.root_certificate.clone(),
                    password_place: args.password_ref.into(),
                    dry_run: args.dry_run,
                };
                let all = progress::shown(self.messages, self.output, async |events| {
                    Box::pin(webstream::repoint(recipe, &leading, events, stop)).await
                })
                .await?;
                for rewritten in &all {
                    self.output.show(&ResultLine::Repoint(rewritten), |page| {
                        webstream_view::rewritten(page, rewritten);
                    });
                }
                if !self.output.is_json() {
                    let mut page = self.output.page();
                    if recipe.record.root_certificate.is_none() {
                        webstream_view::unverified(&mut page);
                    }
                    if all.iter().any(|rewritten| rewritten.backup.is_some()) {
                        let variables = recipe.service_variables()?;
                        services_view::starting(&mut page, &variables, recipe.secrets());
                    }
                    self.output.put(page.into_text().as_bytes());
                }
                Ok(Exit::Done)
            }
            Webstream::Rollback(args) => {
                let accept_loss = args.accept_loss;
                let back = progress::shown(self.messages, self.output, async |events| {
                    Box::pin(webstream::rollback(recipe, accept_loss, events, stop)).await
                })
                .await?;
                self.output.show(&ResultLine::Rollback(&back), |page| {
                    webstream_view::rolled_back(page, &back);
                });
                Ok(Exit::Done)
            }
            Webstream::Status(_) => self.webstream_status(recipe, stop).await,
            Webstream::Check(args) => {
                let root_certificate = args.root_certificate.clone();
                let looking = webstream::Looking { root_certificate };
                self.webstream_check(&looking, recipe, stop).await
            }
            Webstream::Retire(args) => {
                let retiring = webstream::Retiring {
                    execute: args.execute,
                    service: args.service.clone(),
                    dry_run: args.dry_run,
                };
                let before = progress::shown(self.messages, self.output, async |events| {
                    Box::pin(webstream::retire(recipe, &retiring, events, stop)).await
                })
                .await?;
                self.output.show(&ResultLine::Retire(&before), |page| {
                    retirement_view::retired(page, &before, &retiring);
                });
                Ok(Exit::Done)
            }
            Webstream::Unretire(args) => {
                let before = webstream::unretire(recipe, args.execute, stop).await?;
                self.output.show(&ResultLine::Unretire(&before), |page| {
                    retirement_view::unretired(page, &before, args.execute);
                });
                Ok(Exit::Done)
            }
        }
    }

    async fn webstream_status(&self, recipe: &mut Recipe, stop: &mut Stop) -> Result<Exit> {
        let mut exit = Exit::Done;
        for Tried { configuration, database, reached } in
            stop.or(Box::pin(webstream::status(recipe))).await?
        {
            let title = format!("database {database}, {}", configuration.display());
            match reached {
                Ok(reached) => self.output.show(&ResultLine::Reached(&reached), |page| {
                    webstream_view::reached(page, &title, &reached);
                }),
                Err(error) => {
                    exit = error.kind().into();
                    let error = match self.output.is_json() {
                        true => error.within(title.as_str()),
                        false => error,
                    };
                    self.output.show(&ResultLine::error(&error), |page| {
                        webstream_view::not_reached(page, &title, &error);
                    });
                }
            }
        }
        Ok(exit)
    }
}
