//! Archives for tests: made up, in every format and compression, as pg_dump lays them out.

use std::io::Write;
use std::path::PathBuf;

use super::contents::{Contents, Item, ItemId, ItemSection, Place};
use super::header::{Compression, CreatedAt, Header, Layout, Version};
use super::numbers::write_int;

/// The rows of entry 2, and those of entry 3.
pub(super) const ROWS: &str = "1\ta\n2\t\\N\n3\t\\\\.\n";
pub(super) const NO_ROWS: &str = "";

/// The large objects of entry 4.
pub(super) const OBJECTS: [(u32, &[u8]); 3] =
    [(5, b"five"), (4_000_000_000, b"\0\n\\.\n"), (7, b"")];

pub(super) const COMPRESSIONS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Zstd];

/// A table, its rows, another's rows, and large objects.
pub(super) fn contents(layout: Layout, compression: Compression, version: Version) -> Contents {
    let item = |id: i32, desc: &str, section| Item {
        id: ItemId(id),
        catalog_id: ("1259".into(), "16385".into()),
        tag: "orders".into(),
        desc: desc.into(),
        section,
        create: String::new(),
        drop: String::new(),
        copy: None,
        schema: Some("public".into()),
        tablespace: None,
        access_method: None,
        relkind: 0,
        owner: "shop".into(),
        depends_on: Vec::new(),
        place: Place::Nowhere,
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
    let mut toc = Vec::new();
    contents.write(&mut toc).unwrap();
    let (mut data, mut places) = (Vec::new(), Vec::new());
    for (id, rows) in [(2, ROWS), (3, NO_ROWS)] {
        places.push((toc.len() + data.len()) as u64);
        data.push(1);
        write_int(&mut data, id).unwrap();
        blocks(&mut data, &compressed(format!("{rows}\\.\n\n\n").as_bytes(), compression, true));
    }
    places.push((toc.len() + data.len()) as u64);
    data.push(3);
    write_int(&mut data, 4).unwrap();
    for (oid, bytes) in OBJECTS {
        write_int(&mut data, oid.cast_signed()).unwrap();
        blocks(&mut data, &compressed(bytes, compression, true));
    }
    write_int(&mut data, 0).unwrap();

    let mut contents = contents.clone();
    for (item, place) in contents.items[1..].iter_mut().zip(places) {
        item.place = Place::Offset(with_places.then_some(place));
    }
    toc.clear();
    contents.write(&mut toc).unwrap();
    [toc, data].concat()
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
    write_int(data, 0).unwrap();
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
