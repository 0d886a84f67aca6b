//! What workers have written, joined into an archive.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::copy::Fingerprint;
use crate::error::{Error, Result};

use super::adler::Adler32;
use super::blocks::{OBJECTS_FOLLOW, ROWS_FOLLOW};
use super::compressing::Laying;
use super::contents::{Contents, ItemId, Place};
use super::encoder::{Encoder, Extent, write_block};
use super::header::Layout;
use super::manifest::{Chunk, FORMAT, Manifest, Rows};
use super::numbers::{INT_BYTES, write_int};
use super::pack::Piece;

/// What follows the last row of a table (source: pg_dump.c, dumpTableData_copy).
const END_OF_ROWS: &[u8] = b"\\.\n\n\n";
/// How a zlib stream begins whose compressor was at its default (RFC 1950, "Data format").
const ZLIB_HEADER: [u8; 2] = [0x78, 0x9c];

/// All that was written of an item's data.
#[derive(Debug, Clone)]
pub struct Data {
    /// The item.
    pub item: ItemId,
    /// Its pieces, in order.
    pub pieces: Vec<Written>,
}

/// A piece of it.
#[derive(Debug, Clone)]
pub struct Written {
    /// The pack that holds it.
    pub pack: PathBuf,
    /// Where it is there.
    pub piece: Piece,
    /// Its rows.
    pub fingerprint: Fingerprint,
}

impl Data {
    fn holds_objects(&self) -> bool {
        self.pieces.iter().any(|written| !written.piece.objects.is_empty())
    }
}

/// Writes an archive in the custom format, in one go: also to what can't be wound back.
pub fn write_custom(
    contents: &mut Contents,
    all: &[Data],
    laying: Laying,
    to: &mut dyn Write,
) -> Result<Manifest> {
    let failed = |error| Error::step("writing the archive").io(error);
    let framings: Vec<Framing> = all
        .iter()
        .map(|data| Framing::of(data, laying))
        .collect::<io::Result<_>>()
        .map_err(failed)?;
    let mut head = Vec::new();
    contents.write(&mut head).map_err(failed)?;
    let mut at = head.len() as u64;
    for (data, framing) in all.iter().zip(&framings) {
        if let Some(item) = contents.items.iter_mut().find(|item| item.id == data.item) {
            item.place = Place::Offset(Some(at));
        }
        at += framing.length(data);
    }
    head.clear();
    contents.write(&mut head).map_err(failed)?;
    let mut manifest = Manifest::of(&head);
    let mut to = BufWriter::with_capacity(1 << 20, to);
    to.write_all(&head).map_err(failed)?;
    let mut at = head.len() as u64;
    for (data, framing) in all.iter().zip(&framings) {
        let chunks = framing.write(data, at, &mut to)?;
        manifest.rows.push(rows(data, chunks));
        at += framing.length(data);
    }
    to.flush().map_err(failed)?;
    Ok(manifest)
}

/// What stands around the pieces of an item in a custom file.
struct Framing {
    before: Vec<u8>,
    after: Vec<u8>,
    /// For large objects: what stands around each.
    around_each: u64,
}

impl Framing {
    fn of(data: &Data, laying: Laying) -> io::Result<Framing> {
        let is_rows = !data.holds_objects();
        let mut before = vec![if is_rows { ROWS_FOLLOW } else { OBJECTS_FOLLOW }];
        write_int(&mut before, data.item.0)?;
        let mut after = Vec::new();
        if is_rows {
            if laying.is_zlib() {
                write_block(&mut before, &ZLIB_HEADER)?;
            }
            after = end_of_rows(data, laying)?;
        }
        write_int(&mut after, 0)?;
        Ok(Framing { before, after, around_each: if is_rows { 0 } else { 2 * INT_BYTES } })
    }

    fn length(&self, data: &Data) -> u64 {
        let pieces: u64 = data.pieces.iter().map(|written| self.length_of(&written.piece)).sum();
        self.before.len() as u64 + pieces + self.after.len() as u64
    }

    fn length_of(&self, piece: &Piece) -> u64 {
        piece.length + piece.objects.len() as u64 * self.around_each
    }

    fn write(&self, data: &Data, at: u64, to: &mut impl Write) -> Result<Vec<Chunk>> {
        let failed = |error| Error::step("writing the archive").io(error);
        to.write_all(&self.before).map_err(failed)?;
        let mut at = at + self.before.len() as u64;
        let mut chunks = Vec::with_capacity(data.pieces.len());
        for written in &data.pieces {
            let mut pack = written.open()?;
            match written.piece.objects.as_slice() {
                [] => copy(&mut pack, written.piece.length, to).map_err(failed)?,
                objects => {
                    for (oid, length) in objects {
                        write_int(to, oid.cast_signed()).map_err(failed)?;
                        copy(&mut pack, *length, to).map_err(failed)?;
                        write_int(to, 0).map_err(failed)?;
                    }
                }
            }
            let length = self.length_of(&written.piece);
            chunks.push(written.chunk(at, length));
            at += length;
        }
        to.write_all(&self.after).map_err(failed)?;
        Ok(chunks)
    }
}

/// Writes an archive into a folder that is there, and makes it last.
pub fn write_directory(
    contents: &Contents,
    all: &[Data],
    laying: Laying,
    folder: &Path,
) -> Result<()> {
    let mut head = Vec::new();
    contents
        .write(&mut head)
        .map_err(|error| Error::step("writing the table of contents").io(error))?;
    let mut manifest = Manifest::of(&head);
    for data in all {
        let chunks = match data.holds_objects() {
            true => write_objects(data, laying, folder)?,
            false => write_rows(data, laying, folder)?,
        };
        manifest.rows.push(rows(data, chunks));
    }
    manifest.write(&Manifest::path(folder, Layout::Directory))?;
    put(&folder.join("toc.dat"), |file| file.write_all(&head))?;
    sync_folder(folder)
}

fn write_rows(data: &Data, laying: Laying, folder: &Path) -> Result<Vec<Chunk>> {
    let suffix = laying.compressing.suffix();
    let path = folder.join(format!("{}.dat{suffix}", data.item.0));
    let mut chunks = Vec::with_capacity(data.pieces.len());
    let mut at = 0;
    for written in &data.pieces {
        chunks.push(written.chunk(at, written.piece.length));
        at += written.piece.length;
    }
    put(&path, |file| {
        for written in &data.pieces {
            // From file to file: most systems copy that by themselves.
            let mut pack = File::open(&written.pack)?;
            pack.seek(SeekFrom::Start(written.piece.offset))?;
            copy(&mut pack, written.piece.length, file)?;
        }
        file.write_all(&end_of_rows(data, laying)?)
    })?;
    Ok(chunks)
}

/// Each large object is a file, and a list names them all (source: pg_backup_directory.c, _EndLO).
fn write_objects(data: &Data, laying: Laying, folder: &Path) -> Result<Vec<Chunk>> {
    let suffix = laying.compressing.suffix();
    let mut list = String::new();
    let mut chunks = Vec::with_capacity(data.pieces.len());
    for written in &data.pieces {
        let mut pack = written.open()?;
        for (oid, length) in &written.piece.objects {
            let name = format!("blob_{oid}.dat");
            put(&folder.join(format!("{name}{suffix}")), |file| copy(&mut pack, *length, file))?;
            list.push_str(&format!("{oid} {name}\n"));
        }
        chunks.push(written.chunk(0, written.piece.length));
    }
    put(&folder.join("blobs.toc"), |file| file.write_all(list.as_bytes()))?;
    Ok(chunks)
}

/// The end of an item's rows: a piece of its own, so that those before hold nothing but rows.
fn end_of_rows(data: &Data, laying: Laying) -> io::Result<Vec<u8>> {
    let mut end = Vec::new();
    if !laying.is_zlib() {
        let mut encoder = Encoder::new(&mut end, laying, Extent::Whole)?;
        encoder.write_all(END_OF_ROWS)?;
        encoder.finish()?;
        return Ok(end);
    }
    let mut encoder = Encoder::new(&mut end, laying, Extent::LastPart)?;
    encoder.write_all(END_OF_ROWS)?;
    encoder.finish()?;
    let mut sum = Adler32::new();
    for Written { piece, .. } in &data.pieces {
        sum.append(piece.adler32, piece.bytes);
    }
    sum.update(END_OF_ROWS);
    write_block(&mut end, &sum.value().to_be_bytes())?;
    Ok(end)
}

fn rows(data: &Data, chunks: Vec<Chunk>) -> Rows {
    let fingerprint: Fingerprint = data.pieces.iter().map(|written| written.fingerprint).sum();
    Rows { item: data.item.0, fingerprint: fingerprint.to_string(), chunks }
}

impl Written {
    fn open(&self) -> Result<BufReader<File>> {
        let open = || {
            let mut pack = File::open(&self.pack)?;
            pack.seek(SeekFrom::Start(self.piece.offset))?;
            Ok(BufReader::with_capacity(1 << 20, pack))
        };
        open().map_err(|error| Error::step(format!("reading {}", self.pack.display())).io(error))
    }

    fn chunk(&self, offset: u64, length: u64) -> Chunk {
        let Piece { bytes, crc32, .. } = self.piece;
        Chunk { offset, length, bytes, crc32, rows: self.fingerprint.rows }
    }
}

/// Copies so many bytes; fewer are an error.
fn copy(from: &mut impl Read, length: u64, to: &mut impl Write) -> io::Result<()> {
    match io::copy(&mut from.take(length), to)? {
        copied if copied == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Makes a file that outlives a crash.
fn put(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let make = || {
        let mut file = File::create(path)?;
        write(&mut file)?;
        file.sync_all()
    };
    make().map_err(|error| Error::step(format!("writing {}", path.display())).io(error))
}

/// Makes the names in a folder outlive a crash. Windows keeps them by itself, and opens no folder.
pub fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::step(format!("syncing {}", folder.display())).io(error))
}

impl Manifest {
    /// One of an archive whose table of contents is `head`, without any rows yet.
    fn of(head: &[u8]) -> Manifest {
        Manifest {
            format: FORMAT,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            contents_crc32: crc32fast::hash(head),
            rows: Vec::new(),
        }
    }

    /// Writes it to a file that outlives a crash.
    pub fn write(&self, path: &Path) -> Result<()> {
        put(path, |file| {
            let mut to = BufWriter::new(file);
            serde_json::to_writer(&mut to, self)?;
            to.flush()
        })
    }
}

/// Removes what stands at `path`, a file or a folder, if anything does.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::{Compression, CreatedAt, Header, Version};
    use super::super::{Compressing, Item, ItemSection, Pack};
    use super::*;

    const ROWS: [&[u8]; 3] = [b"1\tone\n2\ttwo\n", b"", b"3\tthree\n"];

    /// Three pieces of the rows of item 9, in a pack.
    fn written(folder: &Path, laying: Laying) -> Data {
        let path = folder.join("pack");
        let mut pack = Pack::create(&path, laying).unwrap();
        let pieces = ROWS.map(|rows| {
            let mut piece = pack.rows().unwrap();
            piece.write(rows).unwrap();
            let piece = piece.finish().unwrap();
            Written { pack: path.clone(), piece, fingerprint: Fingerprint::default() }
        });
        pack.finish().unwrap();
        Data { item: ItemId(9), pieces: pieces.to_vec() }
    }

    fn contents(laying: Laying) -> Contents {
        let item = Item {
            copy: Some("COPY t FROM stdin;\n".into()),
            place: match laying.layout {
                Layout::Custom => Place::Offset(None),
                _ => Place::File("9.dat".into()),
            },
            ..Item::new(ItemId(9), "TABLE DATA", "t", ItemSection::Data)
        };
        Contents {
            header: Header {
                version: Version::V1_15,
                layout: laying.layout,
                compression: laying.compressing.by,
                created: CreatedAt([0; 7]),
                database: "d".into(),
                server_version: "15".into(),
                dumper_version: "us".into(),
            },
            items: vec![item],
            length: 0,
        }
    }

    /// The blocks up to the one of no length.
    fn blocks(mut from: &[u8]) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        loop {
            let length = u32::from_le_bytes(from[1..5].try_into().unwrap()) as usize;
            from = &from[5..];
            if length == 0 {
                return blocks;
            }
            blocks.push(from[..length].to_vec());
            from = &from[length..];
        }
    }

    fn decoded(bytes: &[u8], laying: Laying) -> Vec<u8> {
        let mut out = Vec::new();
        match (laying.compressing.by, laying.layout) {
            (Compression::None, _) => out.extend_from_slice(bytes),
            (Compression::Gzip, Layout::Custom) => {
                flate2::bufread::ZlibDecoder::new(bytes).read_to_end(&mut out).map(drop).unwrap();
            }
            (Compression::Gzip, _) => {
                flate2::bufread::MultiGzDecoder::new(bytes)
                    .read_to_end(&mut out)
                    .map(drop)
                    .unwrap();
            }
            (Compression::Zstd, _) => out = zstd::decode_all(bytes).unwrap(),
            (Compression::Lz4, _) => {
                let mut left = bytes;
                while !left.is_empty() {
                    let mut frame = lz4_flex::frame::FrameDecoder::new(&mut left);
                    frame.read_to_end(&mut out).unwrap();
                }
            }
        }
        out
    }

    fn all(layout: Layout) -> [Laying; 4] {
        ["none", "gzip", "zstd", "lz4"]
            .map(|text| Laying { layout, compressing: Compressing::parse(text).unwrap() })
    }

    #[test]
    fn pieces_in_a_custom_file_are_one_stream_at_a_real_offset() {
        let whole = [ROWS.concat(), END_OF_ROWS.to_vec()].concat();
        for laying in all(Layout::Custom) {
            let folder = tempfile::tempdir().unwrap();
            let data = written(folder.path(), laying);
            let mut archive = Vec::new();
            let mut contents = contents(laying);
            let manifest = write_custom(&mut contents, &[data], laying, &mut archive).unwrap();
            let read = Contents::read(archive.as_slice()).unwrap();
            let Place::Offset(Some(at)) = read.items[0].place else { panic!("no offset") };
            assert_eq!(at, read.length);
            let data = &archive[at as usize..];
            assert_eq!(data[..6], [1, 0, 9, 0, 0, 0]);
            let blocks = blocks(&data[6..]);
            assert_eq!(decoded(&blocks.concat(), laying), whole, "{laying:?}");
            // What follows a frame in its block is dropped by readers.
            if laying.compressing.by == Compression::Zstd {
                let each: Vec<u8> = blocks
                    .iter()
                    .flat_map(|block| zstd::decode_all(block.as_slice()).unwrap())
                    .collect();
                assert_eq!(each, whole);
            }
            for (chunk, rows) in manifest.rows[0].chunks.iter().zip(ROWS) {
                assert_eq!((chunk.bytes, chunk.crc32), (rows.len() as u64, crc32fast::hash(rows)));
            }
        }
    }

    #[test]
    fn pieces_in_a_folder_are_one_file_and_can_be_read_by_themselves() {
        let whole = [ROWS.concat(), END_OF_ROWS.to_vec()].concat();
        for laying in all(Layout::Directory) {
            let (packs, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let data = written(packs.path(), laying);
            write_directory(&contents(laying), &[data], laying, folder.path()).unwrap();
            let suffix = laying.compressing.suffix();
            let file = fs::read(folder.path().join(format!("9.dat{suffix}"))).unwrap();
            assert_eq!(decoded(&file, laying), whole, "{laying:?}");
            let manifest = fs::read(Manifest::path(folder.path(), Layout::Directory)).unwrap();
            let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
            for (chunk, rows) in manifest.rows[0].chunks.iter().zip(ROWS) {
                let there = &file[chunk.offset as usize..(chunk.offset + chunk.length) as usize];
                assert_eq!(decoded(there, laying), rows, "{laying:?}");
            }
        }
    }
}
