//! An archive that is read: what it holds, and each entry's data as a stream.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::pg::Oid;

use super::contents::{Contents, Item, Place};
use super::copy_text::CopyText;
use super::custom::Custom;
use super::damage::{Told, damaged, told, unreadable};
use super::decode::Coding;
use super::files::{Files, is_plain};
use super::header::{Layout, MAGIC};
use super::manifest::{Chunk, FORMAT, Manifest};
use super::object_lists;
use super::proof::Proof;
use super::tar::Tar;

/// The file of a folder or a tar file that has the table of contents.
pub(super) const CONTENTS: &str = "toc.dat";

/// An archive of pg_dump's or of ours, opened for reading: whatever it claims, reading it takes a
/// few buffers, and what it doesn't hold is an error that names file and byte.
///
/// A stream's errors tell all that by themselves: [`super::read_error`] gives their story.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    contents: Contents,
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
                if toc.coding != Coding::Plain {
                    return Err(cannot_open(path)
                        .because(format!("{} is compressed", toc.name))
                        .hint("decompress that file first"));
                }
                contents(toc.open(0, toc.length)?, &toc.name, layout, Some(toc.length))?
            }
            None => {
                let name = path.display().to_string();
                let file = File::open(path).map_err(|error| unreadable(&name, error))?;
                contents(BufReader::new(file), &name, layout, None)?
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
        Ok(Archive { path: path.to_owned(), contents, manifest, data })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is said to hold.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What is known of its data, if it is one of ours.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
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

    /// The large objects of an entry, in order: each with its OID, and its bytes as a stream.
    pub fn large_objects(
        &self,
        item: &Item,
        take: &mut dyn FnMut(Oid, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let files = match &self.data {
            Data::Custom(custom) => return custom.large_objects(item, take),
            Data::Files(files) => files,
        };
        let list = files.member(&object_lists::name(item, &self.contents.header))?;
        object_lists::each(files, &list, &mut |oid, member| {
            let mut bytes = member.data()?;
            take(oid, &mut bytes)?;
            bytes.drain()
        })
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

/// The table of contents, which nothing comes after where its file's `length` is given; and its
/// CRC-32.
fn contents(
    from: impl Read,
    name: &str,
    layout: Layout,
    length: Option<u64>,
) -> Result<(Contents, u32)> {
    let mut from = Summed { from, crc32: crc32fast::Hasher::new() };
    let mut contents = Contents::read(&mut from).map_err(|error| error.within(name))?;
    let is_custom = contents.header.layout == Layout::Custom;
    if is_custom != (layout == Layout::Custom) {
        return Err(damaged(name, 0, "it is the table of contents of another format"));
    }
    // A folder's says that it is a tar file's.
    contents.header.layout = layout;
    if length.is_some_and(|length| length != contents.length) {
        return Err(damaged(name, contents.length, "something comes after its last entry"));
    }
    let mut ids = HashSet::new();
    if let Some(item) = contents.items.iter().find(|item| !ids.insert(item.id)) {
        let what = format!("two entries have the number {}", item.id.0);
        return Err(damaged(name, contents.length, what));
    }
    Ok((contents, from.crc32.finalize()))
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
            "copy the archive and its manifest again; or move that away to read the archive              without it",
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
    let manifest: Manifest = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| damaged(error.to_string()))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("its format is {}, which isn't known", manifest.format)));
    }
    if manifest.contents_crc32 != crc32 {
        return Err(damaged(
            "it isn't of this archive, or the table of contents is damaged".into(),
        ));
    }
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

fn about(item: &Item) -> Error {
    let Item { id, desc, tag, .. } = item;
    Error::new(Kind::Refused, format!("reading entry {}, {desc} {tag}", id.0))
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
