//! An archive that is read: what it holds, and each entry's data as a stream.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::pg::Oid;

use super::contents::{Contents, Item, ItemId, Place};
use super::copy_text::CopyText;
use super::custom::Custom;
use super::damage::{Told, about, damaged, damaged_data, told, unreadable};
use super::decode::Coding;
use super::files::{Files, is_plain};
use super::header::{Layout, MAGIC};
use super::large::created_by;
use super::manifest::{Chunk, FORMAT, Manifest};
use super::object_lists;
use super::proof::Proof;
use super::tar::Tar;

/// The file of a folder or a tar file that has the table of contents.
pub(super) const CONTENTS: &str = "toc.dat";

/// A table of contents that somebody has compressed, as pg_restore takes it, too, becomes no longer
/// than so many times its file: it is held in memory.
const CONTENTS_SHRINK: u64 = 200;

/// All large objects of an entry.
pub(super) const ALL: Range<u64> = 0..u64::MAX;

/// An archive of pg_dump's or of ours, opened for reading: whatever it claims, reading it takes a
/// few buffers, and what it doesn't hold is an error that names file and byte.
///
/// A stream's errors tell all that by themselves: [`super::read_error`] gives their story.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    contents: Contents,
    /// Where each entry stands in the contents.
    places: HashMap<ItemId, usize>,
    /// The large objects that entries create.
    objects: HashSet<u32>,
    manifest: Option<Manifest>,
    pub(super) data: Data,
}

/// Where the data is.
#[derive(Debug)]
pub(super) enum Data {
    Files(Files),
    Custom(Custom),
}

impl Archive {
    /// Opens a folder, a custom file or a tar file, told apart by looking.
    pub fn open(path: &Path) -> Result<Archive> {
        let about = std::fs::metadata(path).map_err(|error| cannot_open(path).io(error))?;
        let layout = match about.is_dir() {
            true => Layout::Directory,
            false if about.is_file() => layout_of(path)?,
            false => return Err(cannot_open(path).because("it is neither a file nor a folder")),
        };
        let files = match layout {
            Layout::Directory => Some(Files::Folder(path.to_owned())),
            Layout::Tar => Some(Files::Tar(Tar::open(path)?)),
            Layout::Custom => None,
        };
        let (contents, crc32) = match &files {
            Some(files) => {
                let toc = files.member(CONTENTS)?;
                let most = match toc.coding {
                    Coding::Plain => toc.length,
                    _ => toc.length.saturating_mul(CONTENTS_SHRINK),
                };
                contents(toc.data()?.take(most), &toc.name, layout)?
            }
            None => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| unreadable(&name, error))?;
                contents(BufReader::new(file), &name, layout)?
            }
        };
        let manifest = manifest(path, layout, crc32)?;
        let data = match files {
            Some(files) => {
                check_names(&contents)?;
                Data::Files(files)
            }
            None => Data::Custom(Custom::open(path, &contents)?),
        };
        let places = (contents.items.iter().enumerate()).map(|(at, item)| (item.id, at)).collect();
        let objects = contents.items.iter().flat_map(created_by).collect();
        Ok(Archive { path: path.to_owned(), contents, places, objects, manifest, data })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is said to hold.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The entry of this number.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.contents.items.get(*self.places.get(&id)?)
    }

    /// What is known of its data, if it is one of ours.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Refuses a folder or a tar file that lacks a file with the data of one of these items: it is
    /// better known before anything is made of the rest.
    pub fn require_files(&self, of: &BTreeSet<ItemId>) -> Result<()> {
        let Data::Files(files) = &self.data else { return Ok(()) };
        for item in self.contents.items.iter().filter(|item| of.contains(&item.id)) {
            let list = object_lists::name(item, &self.contents.header);
            let name = match item.holds_large_objects() {
                true => Some(list.as_str()).filter(|_| item.place != Place::Nowhere),
                false => file_name(item),
            };
            if let Some(name) = name {
                files.member(name).map_err(|error| error.within(about(item).message()))?;
            }
        }
        Ok(())
    }

    /// The rows of an entry: lines as COPY takes them, without the line that ends them. That this
    /// line is missing is an error.
    pub fn rows(&self, item: &Item) -> Result<Box<dyn Read + Send>> {
        if item.copy.is_none() {
            return Err(about(item)
                .because("its rows are INSERT statements: it was dumped with --inserts")
                .hint("make the archive anew without that, or restore it with pg_restore"));
        }
        Ok(Box::new(self.data_of(item)?.through(CopyText::whole)))
    }

    /// A chunk of an entry's rows, as its manifest has it; that it isn't as that says is an error.
    pub fn chunk(&self, item: &Item, chunk: &Chunk) -> Result<Box<dyn Read + Send>> {
        let data = match &self.data {
            Data::Custom(custom) => custom.chunk(chunk)?,
            Data::Files(files) => files.member(file_of(item)?)?.part(chunk.offset, chunk.length)?,
        };
        Ok(Box::new(data.through(|data| Proof::new(CopyText::part(data), chunk))))
    }

    /// Where the data of an entry begins, if parts of it can be put together as they lie.
    pub(super) fn begins_at(&self, item: &Item) -> Result<Option<u64>> {
        match &self.data {
            Data::Custom(custom) => custom.begins_at(item),
            Data::Files(_) => Ok(Some(0)),
        }
    }

    /// The rows of an entry from a byte on, where a part of it begins.
    pub(super) fn rows_from(&self, item: &Item, offset: u64) -> Result<impl Read + use<>> {
        let data = match &self.data {
            Data::Custom(custom) => custom.data_from(offset)?,
            Data::Files(files) => files.member(file_of(item)?)?.part(offset, u64::MAX)?,
        };
        Ok(data.through(CopyText::whole))
    }

    /// The large objects of an entry, in order: each with its OID, and its bytes as a stream.
    pub fn large_objects(
        &self,
        item: &Item,
        take: &mut dyn FnMut(Oid, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.some_large_objects(item, &ALL, take)
    }

    /// The same of some of them, counted from 0 on. That they aren't those that the contents speak of
    /// is an error.
    pub fn some_large_objects(
        &self,
        item: &Item,
        wanted: &Range<u64>,
        take: &mut dyn FnMut(Oid, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut seen = HashSet::new();
        let mut take = |oid: Oid, bytes: &mut dyn Read| {
            let is_known = self.objects.is_empty() || self.objects.contains(&oid.0);
            match is_known && seen.insert(oid.0) {
                true => take(oid, bytes),
                false => {
                    Err(damaged_data(item, format!("it has a large object {} too many", oid.0)))
                }
            }
        };
        match &self.data {
            Data::Custom(custom) => custom.large_objects(item, wanted, &mut take)?,
            Data::Files(files) => {
                let list = files.member(&object_lists::name(item, &self.contents.header))?;
                object_lists::each(files, &list, wanted, &mut |oid, member| {
                    let mut bytes = member.data()?;
                    take(oid, &mut bytes)?;
                    bytes.drain()
                })?;
            }
        }
        let all = self.count_objects_of(item);
        let expected = all.min(wanted.end).saturating_sub(wanted.start);
        match seen.len() as u64 >= expected {
            true => Ok(()),
            false => {
                let missing = expected - seen.len() as u64;
                Err(damaged_data(item, format!("it lacks {missing} of {all} large objects")))
            }
        }
    }

    /// How many large objects an entry should have at least. Since 1.16 there may be several such
    /// entries, each with those of another.
    fn count_objects_of(&self, item: &Item) -> u64 {
        let needs = item.depends_on.iter().filter_map(|id| self.item(*id));
        match needs.map(|need| created_by(need).len()).sum::<usize>() {
            0 => self.objects.len() as u64,
            of_another => of_another as u64,
        }
    }

    /// The data of an entry that isn't large objects, whatever it is.
    pub(super) fn data_of(&self, item: &Item) -> Result<Told<Box<dyn Read + Send>>> {
        match &self.data {
            Data::Custom(custom) => custom.data(item),
            Data::Files(files) => files.member(file_of(item)?)?.data(),
        }
    }
}

/// What a file that isn't a folder is, by how it begins.
fn layout_of(path: &Path) -> Result<Layout> {
    let mut beginning = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(path.display(), error))?;
    let read = file.take(512).read_to_end(&mut beginning);
    read.map_err(|error| told(&path.display().to_string(), 0, error))?;
    match beginning {
        _ if beginning.starts_with(MAGIC) => Ok(Layout::Custom),
        _ if Tar::is_meant(&beginning) => Ok(Layout::Tar),
        _ => Err(cannot_open(path).because(match beginning.is_empty() {
            true => "it is empty",
            false => "it begins like no archive that pg_dump makes with --format directory, custom or tar",
        })),
    }
}

/// The table of contents, and its CRC-32.
fn contents(from: impl Read, name: &str, layout: Layout) -> Result<(Contents, u32)> {
    let mut from = Summed { from, crc32: crc32fast::Hasher::new() };
    let mut contents = Contents::read(&mut from).map_err(|error| error.within(name))?;
    let is_custom = contents.header.layout == Layout::Custom;
    if is_custom != (layout == Layout::Custom) {
        return Err(damaged(name, 0, "it is the table of contents of another format"));
    }
    // A folder's says that it is a tar file's.
    contents.header.layout = layout;
    let crc32 = from.crc32.clone().finalize();
    if !is_custom {
        let mut more = [0];
        match from.read(&mut more).map_err(|error| told(name, contents.length, error))? {
            0 => {}
            _ => {
                return Err(damaged(name, contents.length, "something comes after its last entry"));
            }
        }
    }
    let mut ids = HashSet::new();
    if let Some(item) = contents.items.iter().find(|item| !ids.insert(item.id)) {
        let what = format!("two entries have the number {}", item.id.0);
        return Err(damaged(name, contents.length, what));
    }
    Ok((contents, crc32))
}

/// Refuses names of files that aren't any, before anything is done with one.
fn check_names(contents: &Contents) -> Result<()> {
    let items = contents.items.iter();
    items.filter_map(|item| Some((item, file_name(item)?))).try_for_each(|(item, name)| {
        match is_plain(name) {
            true => Ok(()),
            false => Err(about(item)
                .because(format!("its data should be in {name:?}, but no archive has such files"))
                .hint("don't trust this archive: make it anew")),
        }
    })
}

/// The manifest beside an archive whose table of contents has this CRC-32.
fn manifest(path: &Path, layout: Layout, crc32: u32) -> Result<Option<Manifest>> {
    let path = Manifest::path(path, layout);
    let damaged = |because: String| {
        Error::new(Kind::Refused, format!("reading {}", path.display())).because(because).hint(
            "copy the archive and its manifest again; or move that away to read the archive \
             without it",
        )
    };
    let about = match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path.display(), error)),
        Ok(about) => about,
    };
    if !about.is_file() {
        return Err(damaged("it is no file, but a link, a folder or a device".into()));
    }
    let file = File::open(&path).map_err(|error| unreadable(path.display(), error))?;
    let mut manifest: Manifest = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| damaged(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("its format is {}, which isn't known", manifest.format)));
    }
    if manifest.contents_crc32 != crc32 {
        return Err(damaged(
            "it isn't of this archive, or the table of contents is damaged".into(),
        ));
    }
    manifest.settle().map_err(|flaw| damaged(flaw.into()))?;
    Ok(Some(manifest))
}

/// The name of the file that an entry's data is in.
pub(super) fn file_name(item: &Item) -> Option<&str> {
    match &item.place {
        Place::File(name) => Some(name),
        Place::Nowhere | Place::Offset(_) => None,
    }
}

fn file_of(item: &Item) -> Result<&str> {
    file_name(item).ok_or_else(|| {
        about(item)
            .because("the archive has no data of it")
            .hint("choose an entry that has, as `pgconvoy inspect` shows them")
    })
}

fn cannot_open(path: &Path) -> Error {
    Error::new(Kind::Refused, format!("opening the archive {}", path.display())).hint(
        "name a folder or a file that `pgconvoy dump` or pg_dump made; run a script with psql",
    )
}

/// Sums up what passes.
struct Summed<R> {
    from: R,
    crc32: crc32fast::Hasher,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(into)?;
        self.crc32.update(&into[..read]);
        Ok(read)
    }
}
