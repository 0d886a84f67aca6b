//! A custom archive: one file with the table of contents and, behind it, each entry's data (source:
//! bin/pg_dump/pg_backup_custom.c).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::pg::Oid;

use super::blocks::{Blocks, OBJECTS_FOLLOW, ROWS_FOLLOW};
use super::contents::{Contents, Item, ItemId, Place};
use super::damage::{Told, cut_off, damaged, told, unreadable, wrong};
use super::decode::{Coding, decoded};
use super::manifest::Chunk;
use super::numbers::{INT_BYTES, read_int};
use super::source::Source;

/// The data of a custom archive.
#[derive(Debug)]
pub(super) struct Custom {
    path: PathBuf,
    coding: Coding,
    /// Where data begins whose place the table of contents doesn't tell.
    found: HashMap<ItemId, u64>,
    /// Where large objects begin behind those that were read together, by entry and number: nothing
    /// in the file tells that.
    passed: Mutex<BTreeMap<(ItemId, u64), u64>>,
}

/// Where an entry's data begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) item: ItemId,
    pub(super) offset: u64,
}

impl Custom {
    /// What lies behind the table of contents of a file.
    pub(super) fn open(path: &Path, contents: &Contents) -> Result<Custom> {
        let coding = Coding::in_blocks(contents.header.compression);
        let mut custom = Custom {
            path: path.to_owned(),
            coding,
            found: HashMap::new(),
            passed: Mutex::default(),
        };
        custom.check_places(contents)?;
        if contents.items.iter().any(|item| item.place == Place::Offset(None)) {
            for beginning in custom.beginnings(contents)? {
                custom.found.insert(beginning.item, beginning.offset);
            }
        }
        Ok(custom)
    }

    /// The data of an entry that isn't large objects.
    pub(super) fn data(&self, item: &Item) -> Result<Told<Box<dyn Read + Send>>> {
        self.decoded(self.begin(item, ROWS_FOLLOW)?)
    }

    fn decoded(&self, source: Source) -> Result<Told<Box<dyn Read + Send>>> {
        let (at, offset) = (source.offset(), source.shared_offset());
        let data = decoded(Blocks::all(source), self.coding);
        let data = data.map_err(|error| told(&self.name(), at, error))?;
        Ok(Told::new(data, self.name(), offset))
    }

    /// Where an entry's data begins behind its head; none where it is one stream from there on.
    pub(super) fn begins_at(&self, item: &Item) -> Result<Option<u64>> {
        match self.coding {
            Coding::Zlib => Ok(None),
            _ => Ok(Some(self.begin(item, ROWS_FOLLOW)?.offset())),
        }
    }

    /// The data of an entry from a block on.
    pub(super) fn data_from(&self, offset: u64) -> Result<Told<Box<dyn Read + Send>>> {
        let source = Source::open(&self.path, offset, u64::MAX);
        self.decoded(source.map_err(|error| unreadable(self.path.display(), error))?)
    }

    /// A chunk of it.
    pub(super) fn chunk(&self, chunk: &Chunk) -> Result<Told<Box<dyn Read + Send>>> {
        let source = Source::open(&self.path, chunk.offset, chunk.length);
        let source = source.map_err(|error| unreadable(self.path.display(), error))?;
        let offset = source.shared_offset();
        let coding = match self.coding {
            Coding::Zlib => Coding::ZlibPart,
            other => other,
        };
        let data = decoded(Blocks::some(source), coding);
        let data = data.map_err(|error| told(&self.name(), chunk.offset, error))?;
        Ok(Told::new(data, self.name(), offset))
    }

    /// The large objects of an entry that are wanted, counted from 0 on.
    pub(super) fn large_objects(
        &self,
        item: &Item,
        wanted: &Range<u64>,
        take: &mut dyn FnMut(Oid, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let (mut number, mut source) = self.nearest_object(item, wanted.start)?;
        let offset = source.shared_offset();
        loop {
            let at = source.offset();
            if number >= wanted.end {
                self.passed().insert((item.id, number), at);
                return Ok(());
            }
            let oid = read_int(&mut source).map_err(|error| told(&self.name(), at, error))?;
            if oid == 0 {
                return Ok(());
            }
            number += 1;
            if number <= wanted.start {
                let skipped = std::io::copy(&mut Blocks::all(&mut source), &mut std::io::sink());
                skipped.map_err(|error| told(&self.name(), at, error))?;
                continue;
            }
            let bytes = decoded(Blocks::all(&mut source), self.coding);
            let bytes = bytes.map_err(|error| told(&self.name(), at, error))?;
            let mut bytes = Told::new(bytes, self.name(), offset.clone());
            // Half of the OIDs are written as negative numbers.
            take(Oid(oid.cast_unsigned()), &mut bytes)?;
            bytes.drain()?;
        }
    }

    /// The last large object before one of this number, or that itself, whose place is known: its
    /// number, and what is there.
    fn nearest_object(&self, item: &Item, number: u64) -> Result<(u64, Source)> {
        let passed = self.passed();
        let known = passed.range((item.id, 0)..=(item.id, number)).next_back();
        let Some((&(_, number), &offset)) = known else {
            return Ok((0, self.begin(item, OBJECTS_FOLLOW)?));
        };
        let source = Source::open(&self.path, offset, u64::MAX);
        Ok((number, source.map_err(|error| unreadable(self.path.display(), error))?))
    }

    fn passed(&self) -> MutexGuard<'_, BTreeMap<(ItemId, u64), u64>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where data begins, all of it in the file's order.
    pub(super) fn beginnings(&self, contents: &Contents) -> Result<Vec<Beginning>> {
        let file = File::open(&self.path);
        let file = file.map_err(|error| unreadable(self.path.display(), error))?;
        let mut walk = Walk { from: BufReader::new(file), offset: contents.length };
        let expected = contents.items.iter().filter(|item| item.place != Place::Nowhere);
        let mut expected: HashMap<ItemId, &Item> = expected.map(|item| (item.id, item)).collect();
        walk.beginnings(&mut expected).map_err(|error| told(&self.name(), walk.offset, error))
    }

    /// What comes after the head of an entry's data.
    fn begin(&self, item: &Item, kind: u8) -> Result<Source> {
        let offset = match item.place {
            Place::Offset(Some(offset)) => Some(offset),
            _ => self.found.get(&item.id).copied(),
        };
        let Some(offset) = offset else {
            let what = format!("there is no data of entry {}, which should have some", item.id.0);
            return Err(damaged(self.path.display(), 0, what));
        };
        let source = Source::open(&self.path, offset, u64::MAX);
        let mut source = source.map_err(|error| unreadable(self.path.display(), error))?;
        let mut head = || -> std::io::Result<()> {
            let mut found = [0];
            source.read_exact(&mut found)?;
            let id = read_int(&mut source)?;
            match found == [kind] && id == item.id.0 {
                true => Ok(()),
                false => Err(wrong(format!("the data of entry {} doesn't begin there", item.id.0))),
            }
        };
        head().map_err(|error| told(&self.name(), offset, error))?;
        Ok(source)
    }

    /// Refuses places that can't be any, and a file in which something else than data comes after
    /// the table of contents.
    fn check_places(&self, contents: &Contents) -> Result<()> {
        let mut file = File::open(&self.path).map_err(|e| unreadable(self.path.display(), e))?;
        let mut next = Vec::new();
        let mut read = || -> std::io::Result<u64> {
            file.seek(SeekFrom::Start(contents.length))?;
            (&mut file).take(1).read_to_end(&mut next)?;
            Ok(file.metadata()?.len())
        };
        let length = read().map_err(|error| told(&self.name(), contents.length, error))?;
        if !matches!(next.as_slice(), [] | [ROWS_FOLLOW | OBJECTS_FOLLOW]) {
            let what = "something else than data comes after its table of contents";
            return Err(damaged(self.path.display(), contents.length, what));
        }
        for item in &contents.items {
            if let Place::Offset(Some(offset)) = item.place
                && !(contents.length..length).contains(&offset)
            {
                let what = format!("the data of entry {} can't begin there", item.id.0);
                return Err(damaged(self.path.display(), offset, what));
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// A walk over all data, none of which is read.
struct Walk {
    from: BufReader<File>,
    offset: u64,
}

impl Walk {
    fn beginnings(
        &mut self,
        expected: &mut HashMap<ItemId, &Item>,
    ) -> std::io::Result<Vec<Beginning>> {
        let length = self.from.get_ref().metadata()?.len();
        self.from.seek(SeekFrom::Start(self.offset))?;
        let mut beginnings = Vec::new();
        while self.offset < length {
            let offset = self.offset;
            let mut kind = [0];
            self.from.read_exact(&mut kind)?;
            self.offset += 1;
            let item = ItemId(self.int()?);
            // Each has its data once; so there are no more of these than entries.
            if expected.remove(&item).is_none() {
                return Err(wrong(format!("there is data of an entry {}, which has none", item.0)));
            }
            match kind {
                [ROWS_FOLLOW] => self.skip_blocks(length)?,
                [OBJECTS_FOLLOW] => {
                    while self.int()? != 0 {
                        self.skip_blocks(length)?;
                    }
                }
                _ => return Err(wrong("there is data of no known kind")),
            }
            beginnings.push(Beginning { item, offset });
        }
        Ok(beginnings)
    }

    fn skip_blocks(&mut self, file_length: u64) -> std::io::Result<()> {
        loop {
            match self.int()? {
                0 => return Ok(()),
                length @ 1.. => {
                    self.offset += u64::from(length.unsigned_abs());
                    if self.offset > file_length {
                        return Err(cut_off());
                    }
                    self.from.seek_relative(length.into())?;
                }
                _ => return Err(wrong("a block's length is below zero")),
            }
        }
    }

    fn int(&mut self) -> std::io::Result<i32> {
        let int = read_int(&mut self.from)?;
        self.offset += INT_BYTES;
        Ok(int)
    }
}
