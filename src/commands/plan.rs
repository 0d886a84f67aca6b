//! `pgconvoy plan`: the steps and chunks, without running them.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::pg::ServerVersion;
use crate::plan::{
    self, DefinedBy, Plan, PlanInput, Preparations, SequencesFrom, Splitting, Statement,
};
use crate::toc::adapt::{Adapted, adapt};
use crate::toc::{Finding, Toc};
use crate::wire::Conninfo;

use super::databases;
use super::request::Request;
use super::survey::{self, Source};

/// A plan, and what it would change.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Planned {
    /// The database.
    pub database: String,
    /// Which part moves, under which owners, in the words of the command line.
    pub terms: Vec<String>,
    /// What would be refused, changed or left out; without a target, by the choice alone.
    pub findings: Vec<Finding>,
    /// The plan.
    pub plan: Plan,
}

/// Plans every database of the request: for its target, or for one that allows everything.
pub async fn plan(request: &Request, target: Option<&Conninfo>) -> Result<Vec<Planned>> {
    let mut all = Vec::new();
    for pair in databases::pairs(request).await? {
        let mut source = survey::source(&pair).await?;
        let toc = std::mem::take(&mut source.toc);
        let (adapted, target) = match target {
            Some(_) => {
                let there = databases::target_database(&pair.target).await?;
                let facts = there.facts(pair.target.database()).await?;
                let adapted = adapt(&toc, &source.bootstrap, &facts);
                (adapted, Some((facts.user, facts.version)))
            }
            None => (Adapted { toc, ..Adapted::default() }, None),
        };
        let plan = plan_for(request, &source, &adapted, target);
        let database = pair.source.database().to_owned();
        let findings = source.findings.into_iter().chain(adapted.findings).collect();
        all.push(Planned { database, terms: request.terms(), findings, plan });
    }
    Ok(all)
}

/// The plan of a request for what a source holds and a target allows.
pub(super) fn plan_for(
    request: &Request,
    source: &Source,
    adapted: &Adapted,
    target: Option<(String, ServerVersion)>,
) -> Plan {
    let splitting = match source.identity.version.major() {
        ..=13 => Splitting::Keys,
        _ => Splitting::Pages,
    };
    plan::build(&PlanInput {
        toc: &adapted.toc,
        splitting,
        jobs: request.jobs(),
        verify: request.verify,
        analyze: request.analyze,
        target_user: target.as_ref().map(|(user, _)| user.as_str()),
        target_version: target.as_ref().map(|(_, version)| *version),
        sequences: SequencesFrom::Source,
        defined_by: DefinedBy::Us,
        preparations: &preparations(adapted),
    })
}

pub(super) fn preparations(adapted: &Adapted) -> Preparations {
    let statement = |title: &str, sql: &String| Statement::new(title, sql);
    let join = "a membership of our own, for the time of the job";
    let lend = "a right for an owner, for the time of the job";
    let aside = "default privileges of our own, put aside for the time of the job";
    let joined = adapted.join.iter().map(|sql| statement(join, sql));
    let set_aside = adapted.set_aside.iter().map(|sql| statement(aside, sql));
    let left = adapted.leave.iter().map(|sql| statement(join, sql));
    let restored = adapted.restore.iter().map(|sql| statement(aside, sql));
    Preparations {
        first: set_aside.chain(joined).collect(),
        taken_over: adapted.taken_over.clone(),
        after: adapted
            .lend
            .iter()
            .map(|(id, all)| (*id, all.iter().map(|sql| statement(lend, sql)).collect()))
            .collect(),
        take_back_rights: adapted.take_back.iter().map(|sql| statement(lend, sql)).collect(),
        take_back_roles: restored.chain(left).collect(),
    }
}

/// How many objects of each kind there are. An entry stands for one, or for many large objects.
pub(super) fn count_objects(toc: &Toc) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in toc.entries.iter().filter(|entry| !entry.stands) {
        let objects = entry.large_objects.map_or(1, |sum| sum.count as usize);
        *counts.entry(entry.kind.tag().to_owned()).or_default() += objects;
    }
    counts
}
