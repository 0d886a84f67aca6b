//! `pgconvoy webstream verify`: every row and every definition of both sides compared.

use std::path::PathBuf;

use crate::commands::{self, DatabaseReport, Events, Stop};
use crate::error::Result;

use super::clock;
use super::recipe::Recipe;
use super::report;

/// Compares all databases, and writes the report that the move is signed off with, on what differs,
/// too: where it is. None where the services write to the target already, and so it differs.
pub async fn verify(
    recipe: &mut Recipe,
    events: &Events,
    stop: &mut Stop,
) -> Result<(Vec<DatabaseReport>, Option<PathBuf>)> {
    let request = recipe.job()?;
    let reports = Box::pin(commands::verify(&request, events, stop)).await?;
    let is_clean = reports.iter().all(|report| report.verification.is_clean());
    let mut written = None;
    // Once the services write to the target, the sides differ by right: what is on record stands.
    if is_clean || recipe.led_to_target()?.is_empty() {
        recipe.record.done.verified = is_clean.then(clock::now);
        recipe.keep()?;
        let sign_off = stop.or(Box::pin(report::write(recipe, &reports))).await?;
        recipe.record.done.sign_off = Some(sign_off.clone());
        written = Some(sign_off);
    }
    recipe.keep()?;
    Ok((reports, written))
}
