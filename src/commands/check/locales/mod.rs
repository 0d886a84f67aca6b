//! Locales, compared by what they do: how text is ordered, and what is a letter's other case. What
//! a difference would break is tried on the target, with the source's values, in a temporary table.

mod effect;
mod judged;
mod names;
mod trial;

use crate::catalog::DatabaseFacts;
use crate::commands::survey::Source;
use crate::error::Result;
use crate::pg::quote_ident;
use crate::toc::Finding;
use crate::wire::Conninfo;

use super::sides::Sides;
use super::words;

use effect::Effect;
use trial::{Outcome, Trial};

/// Compares the effect of both locales, and tries what depends on it.
pub(super) async fn findings(sides: &Sides<'_>, source: &Source) -> Result<Vec<Finding>> {
    let target = sides.target_database(&source.database).await?;
    let Some(effect) = effect::compare(sides, &target).await? else {
        return Ok(by_name(&source.database, &target, sides.target_name()).into_iter().collect());
    };
    let mut found = judge(effect, &source.database, &target, sides.target_name());
    if effect.differs() {
        let keep = names::keeping(&source.database, sides.target_name());
        let mut judged = judged::read(&sides.source, effect).await?;
        judged.trials.retain(|trial| source.moves_table(&trial.table));
        found.extend(judged.untried.into_iter().map(untried));
        let place = place_of_trials(sides).await?;
        for trial in judged.trials {
            let outcome = trial.run(&sides.pair.source, &place).await;
            found.extend(report(&trial, outcome, &keep)?);
        }
    }
    Ok(found)
}

/// The database whose locale is the target's: itself, or where it is missing the one we are in,
/// which was found to be alike.
async fn place_of_trials(sides: &Sides<'_>) -> Result<Conninfo> {
    let sql = "SELECT pg_catalog.current_database()::text";
    let name = sides.target().query_one("asking for the database", sql, &[]).await?;
    Ok(sides.pair.target.with_database(name.get(0)))
}

fn judge(
    effect: Effect,
    source: &DatabaseFacts,
    target: &DatabaseFacts,
    database: &str,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let (from, to) = (names::described(source), names::described(target));
    let keep = names::keeping(source, database);
    if effect.order {
        let what = format!(
            "text is ordered otherwise by {to} than by the source's {from}: ORDER BY, comparisons \
             and the bounds of ranges of text"
        );
        found.push(Finding::change("locale", what).mend(&keep));
    }
    if effect.letters {
        let what = format!(
            "the upper and lower case of letters beyond ASCII are others for {to} than for the \
             source's {from}: lower(), upper(), ILIKE, ~*, citext"
        );
        found.push(Finding::change("locale", what).mend(&keep));
    }
    if !effect.differs() && from != to {
        let what =
            format!("the source has {from}, the target {to}: they were tried, and do the same");
        found.push(Finding::note("locale", what));
    }
    found
}

/// Where neither the target database nor one like it is there to try.
fn by_name(source: &DatabaseFacts, target: &DatabaseFacts, database: &str) -> Option<Finding> {
    let (from, to) = (names::described(source), names::described(target));
    let what = format!(
        "the source has {from}, the target will have {to}; what that changes can't be tried before \
         the database is there"
    );
    let remedy = format!(
        "make it first, then check again: {} or CREATE DATABASE {};",
        names::keeping(source, database),
        quote_ident(database)
    );
    (from != to).then(|| Finding::change("locale", what).mend(remedy))
}

/// What depends on the locale and isn't tried.
fn untried(object: String) -> Finding {
    Finding::note(object, "is judged by the target's locale from then on")
}

fn report(trial: &Trial, outcome: Result<Outcome>, keep: &str) -> Result<Option<Finding>> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) if super::is_refusal_of_a_statement(&error) => {
            let what = format!("depends on the locale, and couldn't be tried: {}", words(&error));
            return Ok(Some(Finding::note(&trial.object, what)));
        }
        Err(error) => return Err(error),
    };
    if outcome.failing > 0 {
        let what = trial.failure(&outcome);
        let remedy =
            format!("change these rows on the source; or keep the source's locale: {keep}");
        return Ok(Some(Finding::refusal(&trial.object, what).mend(remedy)));
    }
    Ok(outcome.is_cut_short().then(|| {
        let what = format!(
            "depends on the locale; its first {} rows were tried and are fine, the rest weren't",
            outcome.rows
        );
        Finding::note(&trial.object, what)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Severity;

    fn facts(collate: &str) -> DatabaseFacts {
        DatabaseFacts {
            collate: collate.to_owned(),
            ctype: collate.to_owned(),
            ..DatabaseFacts::example()
        }
    }

    const SAME: Effect = Effect { order: false, letters: false, ascii_letters: false };

    fn severities(effect: Effect, from: &str, to: &str) -> Vec<Severity> {
        judge(effect, &facts(from), &facts(to), "shop").iter().map(|f| f.severity).collect()
    }

    #[test]
    fn other_names_for_the_same_effect_are_a_note() {
        assert_eq!(severities(SAME, "C", "C.UTF-8"), [Severity::Note]);
        assert!(severities(SAME, "C", "C").is_empty());
    }

    #[test]
    fn each_effect_that_differs_is_told_even_under_the_same_name() {
        let effect = Effect { order: true, letters: true, ..SAME };
        assert_eq!(
            severities(effect, "en_US.UTF-8", "en_US.UTF-8"),
            [Severity::Change, Severity::Change]
        );
    }

    #[test]
    fn without_anything_to_try_names_decide() {
        assert_eq!(by_name(&facts("C"), &facts("C"), "shop"), None);
        assert!(by_name(&facts("C"), &facts("en_US.UTF-8"), "shop").is_some());
    }
}
