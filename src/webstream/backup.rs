//! `pgconvoy webstream backup`: each database as a custom archive, read to its end after it was
//! written.

use crate::commands::{
    self, Choice, Compressing, DumpForm, DumpRequest, Dumped, Events, Layout, PATIENCE, Part,
    RoleMap, Stop,
};
use crate::error::{Error, Kind, Result};

use super::clock;
use super::recipe::Recipe;
use super::record::BackedUp;

/// Dumps every database, and looks each archive through.
pub async fn backup(recipe: &mut Recipe, events: &Events, stop: &mut Stop) -> Result<Vec<Dumped>> {
    let out = recipe.out();
    std::fs::create_dir_all(&out).map_err(|error| {
        Error::new(Kind::Refused, format!("making the folder {}", out.display())).io(error)
    })?;
    let mut all = Vec::new();
    for named in recipe.databases()? {
        let at = clock::now();
        let archive = out.join(format!("{}.{}.dump", named.database, clock::stamp(&at)));
        let request = DumpRequest {
            source: recipe.source()?.with_database(&named.database),
            choice: Choice::default(),
            roles: RoleMap::default(),
            part: Part::Everything,
            path: Some(archive.clone()),
            form: DumpForm::Archive(Layout::Custom),
            compressing: Compressing::parse("gzip")?,
            for_pg_restore: None,
            jobs: None,
            patience: PATIENCE,
        };
        let dumped = Box::pin(commands::dump(&request, events, stop)).await?;
        let inspected = stop.or(commands::inspect(&archive)).await?;
        if !inspected.is_sound() {
            let flaws: Vec<&str> =
                inspected.flaws.iter().map(|flaw| flaw.message.as_str()).collect();
            return Err(Error::step(format!("reading {} again", archive.display()))
                .because(flaws.join("; "))
                .hint("look at the disk that it lies on, then run again"));
        }
        let rows = dumped.rows;
        recipe.record.done.backed_up.insert(named.database, BackedUp { at, archive, rows });
        recipe.keep()?;
        all.push(dumped);
    }
    Ok(all)
}
