//! How many bytes entries' data has where it lies, compressed as it is: what it costs to read.

use super::contents::{Item, Place};
use super::damage::unreadable;
use super::open::{Archive, Data};
use crate::error::Result;

/// How many bytes the data of an archive's entries has.
#[derive(Debug)]
pub struct Lengths<'a> {
    archive: &'a Archive,
    /// In a custom file: where data begins, and where the file ends.
    begins: Vec<u64>,
}

impl Lengths<'_> {
    /// Those of an archive.
    pub fn of(archive: &Archive) -> Result<Lengths<'_>> {
        let begins = match &archive.data {
            Data::Files(_) => Vec::new(),
            Data::Custom(_) => {
                let path = archive.path();
                let about = std::fs::metadata(path);
                let end = about.map_err(|error| unreadable(path.display(), error))?.len();
                let places = archive.contents().items.iter().filter_map(|item| match item.place {
                    Place::Offset(place) => place,
                    Place::Nowhere | Place::File(_) => None,
                });
                let mut begins: Vec<u64> = places.chain([end]).collect();
                begins.sort_unstable();
                begins
            }
        };
        Ok(Lengths { archive, begins })
    }

    /// The bytes of an entry's data, as far as the archive tells. A file that isn't there has none:
    /// whether it is missed is asked elsewhere.
    pub fn of_item(&self, item: &Item) -> u64 {
        match (&item.place, &self.archive.data) {
            (Place::File(name), Data::Files(files)) => {
                files.member(name).map_or(0, |member| member.length)
            }
            (Place::Offset(Some(offset)), _) => {
                let next = self.begins.partition_point(|begin| begin <= offset);
                self.begins.get(next).map_or(0, |next| next - offset)
            }
            _ => 0,
        }
    }
}
