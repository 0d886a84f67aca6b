//! Copying rows that an archive has.

use std::sync::Arc;
use std::time::Instant;

use crate::copy::{self, LoadPart, Progress, Tally};
use crate::error::Result;
use crate::plan::{Chunk, Step};
use crate::toc::{ArchivedPart, RowsOf};

use super::rows::{beginning, owed, share};
use super::{Moved, Worker};
use crate::engine::large_objects;
use crate::engine::origin::ArchivedRows;
use crate::engine::receipts::Receipt;
use crate::engine::rows::{copy_in, stream};

impl Worker {
    pub(super) async fn load(
        &mut self,
        step: &Step,
        chunks: &[Chunk],
        from: &Arc<ArchivedRows>,
    ) -> Result<Moved> {
        let shared = Arc::clone(&self.shared);
        let owed = owed(&shared, step, chunks);
        let doing: Vec<String> =
            owed.iter().map(|(_, _, table)| format!("copying {}", table.relation)).collect();
        let statements: Vec<String> =
            owed.iter().map(|(_, chunk, table)| copy_in(table, &chunk.range)).collect();
        let parts: Vec<LoadPart<'_>> = owed
            .iter()
            .zip(&statements)
            .zip(&doing)
            .map(|(((_, _, table), copy_in), doing)| LoadPart {
                copy_in,
                stream: stream(table, doing),
            })
            .collect();
        let archived: Vec<&[ArchivedPart]> = owed
            .iter()
            .map(|(_, chunk, table)| {
                table.archived.as_ref().map_or(&[][..], |archived| archived.parts_of(&chunk.range))
            })
            .collect();
        for (_, parts) in
            owed.iter().zip(&archived).filter(|((_, _, t), _)| t.holds_large_objects())
        {
            from.refuse_damaged_objects(parts).await?;
        }
        let started = Instant::now();
        let progress = Progress::part_of(&shared.copied);
        let mut reading = from.read(archived.iter().map(|parts| parts.to_vec()).collect());
        let copying = async {
            self.target.execute_all(&beginning(&owed)).await?;
            copy::load(&mut reading.blocks, &mut self.target, &parts, &progress).await
        };
        let mut tallies = match copying.await {
            Ok(tallies) => tallies,
            Err(error) => {
                progress.take_back();
                return Err(error);
            }
        };
        for (((_, _, table), archived), tally) in owed.iter().zip(&archived).zip(&mut tallies) {
            match &table.rows_of {
                RowsOf::LargeObjects { groups } => {
                    from.refuse_other_objects(archived, tally)?;
                    let objects = reading.objects(&from.large_objects);
                    self.settle_large_objects(groups, &objects).await?;
                    tally.crc32 = large_objects::crc32(&objects);
                }
                _ => {
                    let refused = from.refuse_damaged(archived, tally);
                    refused.map_err(|error| error.within(&table.relation))?;
                }
            }
        }
        let mut sum = Moved::default();
        let receipt = |((part, parts), tally): ((usize, &[ArchivedPart]), Tally)| {
            sum.add(Moved { rows: tally.rows(), bytes: tally.bytes });
            let receipt = share(started, owed.len());
            (part, Receipt { tally, snapshot: from.mark_of(parts), ..receipt })
        };
        let parts = owed.iter().map(|(part, ..)| *part).zip(archived);
        let receipts: Vec<(usize, Receipt)> = parts.zip(tallies).map(receipt).collect();
        self.commit(step, Vec::new(), &receipts).await?;
        Ok(sum)
    }
}
