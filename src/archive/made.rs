//! Archives for tests: made up, in every format and compression, as pg_dump lays them out.

use std::io::Write;
use std::path::PathBuf;

use super::contents::{Contents, Item, ItemId, ItemSection, Place};
use super::header::{Compression, CreatedAt, Header, Layout, Version};
use super::manifest::{Chunk, FORMAT, Manifest, Rows};
use super::numbers::write_int;

/// The rows of entry 2, and those of entry 3.
pub(super) const ROWS: &str = "1\ta\n2\t\\N\n3\t\\\\.\n";
pub(super) const NO_ROWS: &str = "";
const FIRST_CHUNK: usize = "1\ta\n2\t\\N\n".len();
const END: &str = "\\.\n\n\n";

/// The large objects of entry 4.
pub(super) const OBJECTS: [(u32, &[u8]); 3] =
    [(5, b"five"), (4_000_000_000, b"\0\n\\.\n"), (7, b"")];

pub(super) const COMPRESSIONS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Zstd];

/// A table, its rows, another's rows, and large objects.
pub(super) fn contents(layout: Layout, compression: Compression, version: Version) -> Contents {
    let item = |id: i32, desc: &str, section| Item {
        catalog_id: ("1259".into(), "16385".into()),
        schema: Some("public".into()),
        owner: "shop".into(),
        ..Item::new(ItemId(id), desc, "orders", section)
    };
    let place = |file: &str| match layout {
        Layout::Custom => Place::Offset(Some(0)),
        _ => Place::File(file.to_owned()),
    };
    let rows = |id: i32| Item {
        copy: Some("COPY public.orders (id, name) FROM stdin;\n".into()),
        depends_on: vec![ItemId(1)],
        place: place(&format!("{id}.dat")),
        ..item(id, "TABLE DATA", ItemSection::Data)
    };
    let list = if version < Version::V1_16 { "blobs.toc" } else { "blobs_4.toc" };
    Contents {
        header: Header {
            version,
            layout,
            compression,
            created: CreatedAt([59, 58, 23, 31, 11, 126, 0]),
            database: "shop".into(),
            server_version: "15.20".into(),
            dumper_version: "15.20".into(),
        },
        items: vec![
            item(1, "TABLE", ItemSection::PreData),
            rows(2),
            rows(3),
            Item { place: place(list), ..item(4, "BLOBS", ItemSection::Data) },
        ],
        length: 0,
    }
}

/// The files of a folder or of a tar file.
pub(super) fn files(contents: &Contents) -> Vec<(String, Vec<u8>)> {
    let (suffix, compression) = match contents.header.compression {
        Compression::None => ("", Compression::None),
        Compression::Gzip => (".gz", Compression::Gzip),
        Compression::Lz4 => (".lz4", Compression::Lz4),
        Compression::Zstd => (".zst", Compression::Zstd),
    };
    let compressed = |bytes: &[u8]| compressed(bytes, compression, false);
    let mut toc = Vec::new();
    contents.write(&mut toc).unwrap();
    let mut files = vec![("toc.dat".to_owned(), toc)];
    for (id, rows) in [(2, ROWS), (3, NO_ROWS)] {
        let data = format!("{rows}\\.\n\n\n");
        files.push((format!("{id}.dat{suffix}"), compressed(data.as_bytes())));
    }
    let mut list = String::new();
    for (oid, bytes) in OBJECTS {
        files.push((format!("blob_{oid}.dat{suffix}"), compressed(bytes)));
        list.push_str(&format!("{oid} blob_{oid}.dat\n"));
    }
    let Place::File(name) = &contents.items[3].place else { panic!("it has files") };
    files.push((name.clone(), list.into_bytes()));
    files
}

/// A custom archive; without places, as when its writer couldn't go back to note them.
pub(super) fn custom(contents: &Contents, with_places: bool) -> Vec<u8> {
    let compression = contents.header.compression;
    let rows = compressed(format!("{ROWS}\\.\n\n\n").as_bytes(), compression, true);
    custom_of(contents, with_places, &[rows]).0
}

/// The same, the rows of entry 2 in pieces, each in blocks of its own; where the pieces begin.
fn custom_of(contents: &Contents, with_places: bool, pieces: &[Vec<u8>]) -> (Vec<u8>, Vec<u64>) {
    let compression = contents.header.compression;
    let mut whole = Vec::new();
    contents.write(&mut whole).unwrap();
    let (mut begun, mut places) = (Vec::new(), vec![whole.len() as u64]);
    begin(&mut whole, 1, 2);
    for piece in pieces {
        begun.push(whole.len() as u64);
        blocks(&mut whole, piece);
    }
    write_int(&mut whole, 0).unwrap();

    places.push(whole.len() as u64);
    begin(&mut whole, 1, 3);
    blocks(&mut whole, &compressed(format!("{NO_ROWS}\\.\n\n\n").as_bytes(), compression, true));
    write_int(&mut whole, 0).unwrap();

    places.push(whole.len() as u64);
    begin(&mut whole, 3, 4);
    for (oid, bytes) in OBJECTS {
        write_int(&mut whole, oid.cast_signed()).unwrap();
        blocks(&mut whole, &compressed(bytes, compression, true));
        write_int(&mut whole, 0).unwrap();
    }
    write_int(&mut whole, 0).unwrap();

    let mut contents = contents.clone();
    for (item, place) in contents.items[1..].iter_mut().zip(places) {
        item.place = Place::Offset(with_places.then_some(place));
    }
    let mut toc = Vec::new();
    contents.write(&mut toc).unwrap();
    whole[..toc.len()].copy_from_slice(&toc);
    (whole, begun)
}

fn begin(data: &mut Vec<u8>, kind: u8, id: i32) {
    data.push(kind);
    write_int(data, id).unwrap();
}

/// An archive as we make them: large objects that an entry creates, the rows of entry 2 in two
/// chunks, and a manifest.
pub(super) fn ours(layout: Layout, compression: Compression) -> (OnDisk, Manifest) {
    let mut contents = contents(layout, compression, Version::V1_15);
    contents.items[0].desc = "BLOB METADATA".into();
    contents.items[0].create = OBJECTS.map(|(oid, _)| format!("{oid}\n")).concat();
    let texts: [&str; 2] = ROWS.split_at(FIRST_CHUNK).into();
    let (mut pieces, is_zlib) = match (layout, compression) {
        (Layout::Custom, Compression::Gzip) => (zlib_pieces(&texts), true),
        _ => {
            let texts = texts.iter().chain([&END]).map(|text| text.as_bytes());
            let in_blocks = layout == Layout::Custom;
            (texts.map(|text| compressed(text, compression, in_blocks)).collect(), false)
        }
    };
    let (made, begun) = match layout {
        Layout::Custom => {
            let (whole, begun) = custom_of(&contents, true, &pieces);
            (OnDisk::file(&whole), begun)
        }
        _ => {
            let mut files = files(&contents);
            files[1].1 = pieces.concat();
            let lengths = pieces.iter().scan(0, |sum, piece| {
                *sum += piece.len() as u64;
                Some(*sum - piece.len() as u64)
            });
            (OnDisk::folder(&files), lengths.collect())
        }
    };
    if is_zlib {
        pieces.remove(0);
    }
    let begun = &begun[usize::from(is_zlib)..];
    let chunks = texts.iter().zip(begun.windows(2)).map(|(text, begun)| Chunk {
        offset: begun[0],
        length: begun[1] - begun[0],
        bytes: text.len() as u64,
        crc32: crc32fast::hash(text.as_bytes()),
        rows: text.lines().count() as u64,
    });
    let rows = |item, text: &str, chunks| {
        let mut rows = crate::copy::TextRows::new();
        rows.take(text.as_bytes());
        Rows { item, fingerprint: rows.finish().unwrap().to_string(), chunks }
    };
    let objects = OBJECTS.map(|(_, bytes)| bytes).concat();
    let of_objects = Chunk {
        offset: 0,
        length: 0,
        bytes: objects.len() as u64,
        crc32: crc32fast::hash(&objects),
        rows: 3,
    };
    let manifest = Manifest {
        format: FORMAT,
        tool: "0.0.0".into(),
        contents_crc32: made.crc32_of_contents(),
        rows: vec![
            rows(2, ROWS, chunks.collect()),
            rows(3, NO_ROWS, Vec::new()),
            rows(4, NO_ROWS, vec![of_objects]),
        ],
    };
    made.put_manifest(&manifest);
    (made, manifest)
}

/// A zlib stream in pieces: its header, parts that end with a flush, and the end of it all.
fn zlib_pieces(texts: &[&str]) -> Vec<Vec<u8>> {
    let mut to = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
    let mut ends = vec![0, 2];
    for text in texts {
        to.write_all(text.as_bytes()).unwrap();
        to.flush().unwrap();
        ends.push(to.get_ref().len());
    }
    to.write_all(END.as_bytes()).unwrap();
    let stream = to.finish().unwrap();
    ends.push(stream.len());
    ends.windows(2).map(|ends| stream[ends[0]..ends[1]].to_vec()).collect()
}

/// A tar file.
pub(super) fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        tar.extend(tar_header(name, bytes.len() as u64, b'0'));
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.extend([0; 1024]);
    tar
}

pub(super) fn tar_header(name: &str, size: u64, kind: u8) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600 0000001 0000001 ");
    put(124, &format!("{size:011o} 00000000000         "));
    put(257, "ustar\u{0}00");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn blocks(data: &mut Vec<u8>, bytes: &[u8]) {
    for block in bytes.chunks(7) {
        write_int(data, block.len() as i32).unwrap();
        data.extend(block);
    }
}

pub(super) fn compressed(bytes: &[u8], compression: Compression, in_blocks: bool) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip if in_blocks => {
            let mut to = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
            to.write_all(bytes).unwrap();
            to.finish().unwrap()
        }
        Compression::Gzip => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            to.write_all(bytes).unwrap();
            to.finish().unwrap()
        }
        Compression::Lz4 => {
            let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
            to.write_all(bytes).unwrap();
            to.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 0).unwrap(),
    }
}

/// An archive on disk, which is gone with it.
pub(super) struct OnDisk {
    _folder: tempfile::TempDir,
    pub(super) path: PathBuf,
}

impl OnDisk {
    pub(super) fn file(bytes: &[u8]) -> OnDisk {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.dump");
        std::fs::write(&path, bytes).unwrap();
        OnDisk { _folder: folder, path }
    }

    pub(super) fn folder(files: &[(String, Vec<u8>)]) -> OnDisk {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop");
        std::fs::create_dir(&path).unwrap();
        for (name, bytes) in files {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        OnDisk { _folder: folder, path }
    }

    fn layout(&self) -> Layout {
        if self.path.is_dir() { Layout::Directory } else { Layout::Custom }
    }

    pub(super) fn crc32_of_contents(&self) -> u32 {
        let file = if self.path.is_dir() { self.path.join("toc.dat") } else { self.path.clone() };
        let bytes = std::fs::read(file).unwrap();
        crc32fast::hash(&bytes[..length_of_contents(&bytes).unwrap()])
    }

    /// Puts a manifest beside it.
    pub(super) fn put_manifest(&self, manifest: &Manifest) {
        let path = Manifest::path(&self.path, self.layout());
        std::fs::write(path, serde_json::to_vec(manifest).unwrap()).unwrap();
    }

    /// Every format, compression and version, with a name.
    pub(super) fn all() -> Vec<(String, OnDisk)> {
        let mut all = Vec::new();
        for version in [Version::V1_14, Version::V1_15, Version::V1_16] {
            for compression in COMPRESSIONS {
                // Which before 1.15 can't be told apart.
                if version == Version::V1_14
                    && !matches!(compression, Compression::None | Compression::Gzip)
                {
                    continue;
                }
                let of = |layout| contents(layout, compression, version);
                let mut add = |what: &str, made| {
                    all.push((format!("{what} {compression:?} {version:?}"), made))
                };
                add("folder", OnDisk::folder(&files(&of(Layout::Directory))));
                add("custom", OnDisk::file(&custom(&of(Layout::Custom), true)));
                add("custom without places", OnDisk::file(&custom(&of(Layout::Custom), false)));
                if compression == Compression::None {
                    add("tar", OnDisk::file(&tar(&files(&of(Layout::Tar)))));
                }
            }
        }
        all
    }
}

/// Where the table of contents ends that a file begins with, if it does.
pub(super) fn length_of_contents(bytes: &[u8]) -> Option<usize> {
    Contents::read(bytes).ok().map(|contents| contents.length as usize)
}
