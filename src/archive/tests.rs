//! Archives read in every format; and what becomes of those that are damaged, or made to harm.

mod damaged;
mod harmful;
mod large_objects;
mod ours;

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::pg::Oid;

use super::header::{Compression, Layout, Version};
use super::made::{self, OBJECTS, OnDisk, ROWS};
use super::{Archive, Chunk, Contents, Item, ItemId, Lengths, Manifest, Place, read_error};

type Objects = Vec<(Oid, Vec<u8>)>;

/// All that an archive of [`made`] holds: the rows of both tables, and the large objects.
fn all(path: &Path) -> Result<(Vec<u8>, Vec<u8>, Objects)> {
    let archive = Archive::open(path)?;
    // By their place: where a bit was flipped it may be in their number.
    let [_, first, second, objects] = archive.contents().items.as_slice() else {
        return Err(Error::step("reading another number of entries").hint("count"));
    };
    let rows = |item| -> Result<Vec<u8>> {
        let mut rows = Vec::new();
        let mut from = archive.rows(item)?;
        from.read_to_end(&mut rows).map_err(read_error)?;
        Ok(rows)
    };
    let mut read = Objects::new();
    archive.large_objects(objects, &mut |oid, from| {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(read_error)?;
        read.push((oid, bytes));
        Ok(())
    })?;
    Ok((rows(first)?, rows(second)?, read))
}

fn expected() -> (Vec<u8>, Vec<u8>, Objects) {
    let objects = OBJECTS.iter().map(|(oid, bytes)| (Oid(*oid), bytes.to_vec()));
    (ROWS.as_bytes().to_vec(), Vec::new(), objects.collect())
}

/// What is wrong with an archive, and how many rows and large objects it has.
fn looked_through(path: &Path) -> (Vec<Option<u64>>, Vec<String>) {
    let archive = Archive::open(path).unwrap();
    let mut flaws = Vec::new();
    let mut counts = Vec::new();
    for item in &archive.contents().items[1..] {
        match archive.measure(item) {
            Ok(measure) => counts.push(measure.count),
            Err(error) => flaws.push(error.to_string()),
        }
    }
    flaws.extend(archive.loose_ends().unwrap());
    (counts, flaws)
}

#[test]
fn what_was_dumped_is_read_in_every_format_compression_and_version() {
    for (what, archive) in OnDisk::all() {
        match all(&archive.path) {
            Ok(read) => assert_eq!(read, expected(), "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn nothing_is_wrong_with_a_good_archive() {
    for (what, archive) in OnDisk::all() {
        let (counts, flaws) = looked_through(&archive.path);
        assert_eq!((counts, flaws), (vec![Some(3), Some(0), Some(3)], Vec::new()), "{what}");
    }
}

#[test]
fn a_table_of_contents_that_somebody_has_compressed_is_read_as_pg_restore_reads_it() {
    for (compression, ending) in
        [(Compression::Gzip, "gz"), (Compression::Lz4, "lz4"), (Compression::Zstd, "zst")]
    {
        let mut files =
            made::files(&made::contents(Layout::Directory, Compression::None, Version::V1_16));
        files[0].0 = format!("toc.dat.{ending}");
        let plain = std::mem::take(&mut files[0].1);
        let with = |toc: &[u8]| {
            let mut files = files.clone();
            files[0].1 = made::compressed(toc, compression, false);
            OnDisk::folder(&files)
        };
        assert_eq!(all(&with(&plain).path).unwrap(), expected(), "{ending}");
        let bomb = [&plain[..], &vec![0; 64 << 20]].concat();
        for harmed in [&plain[..plain.len() - 1], &bomb] {
            let error = all(&with(harmed).path).unwrap_err();
            assert!(error.to_string().contains(&files[0].0), "{error}");
        }
    }
}

#[test]
fn what_data_takes_is_known_wherever_it_lies() {
    for (what, archive) in OnDisk::all() {
        let archive = Archive::open(&archive.path).unwrap();
        let items = &archive.contents().items;
        let lengths = Lengths::of(&archive).unwrap();
        let of_rows = lengths.of_item(&items[1]);
        match items[1].place {
            Place::Offset(None) => assert_eq!(of_rows, 0, "{what}"),
            _ => assert!((ROWS.len() as u64 / 2..100).contains(&of_rows), "{what}: {of_rows}"),
        }
        assert_eq!(lengths.of_item(&items[0]), 0, "{what}");
    }
}

#[test]
fn many_entries_are_read_as_fast_as_they_come() {
    let mut contents = made::contents(Layout::Directory, Compression::None, Version::V1_16);
    let files = made::files(&contents);
    let many = (10..30_000).map(|id| Item { id: ItemId(id), ..contents.items[0].clone() });
    contents.items.extend(many.collect::<Vec<_>>());
    let mut files = files;
    files[0].1.clear();
    contents.write(&mut files[0].1).unwrap();
    let archive = OnDisk::folder(&files);
    let started = std::time::Instant::now();
    let opened = Archive::open(&archive.path).unwrap();
    for id in 10..30_000 {
        assert!(opened.item(ItemId(id)).is_some());
    }
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn what_nothing_refers_to_is_named() {
    let mut files =
        made::files(&made::contents(Layout::Directory, Compression::Gzip, Version::V1_16));
    files.push(("9.dat".into(), Vec::new()));
    files.push(("2.dat".into(), files[1].1.clone()));
    let archive = OnDisk::folder(&files);
    std::fs::rename(archive.path.join("2.dat"), archive.path.join("2.dat.zst")).unwrap();
    let (_, flaws) = looked_through(&archive.path);
    let unknown = ["2.dat.zst", "9.dat"].map(|name| format!("no entry refers to the file {name}"));
    assert_eq!(flaws, unknown);
}

#[test]
fn what_is_no_archive_says_so() {
    let newer = {
        let mut bytes =
            made::custom(&made::contents(Layout::Custom, Compression::None, Version::V1_16), true);
        bytes[6] = 17;
        bytes
    };
    for (bytes, says) in [
        (&b""[..], "empty"),
        (b"--\n-- PostgreSQL database dump\n--\n", "begins like no archive"),
        (b"PGDM", "begins like no archive"),
        (b"PGDMP", "cut off"),
        (b"PGDMP\x01\x0d\x00\x04\x08\x01", "1.13"),
        (&newer, "1.17"),
    ] {
        let error = Archive::open(&OnDisk::file(bytes).path).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        assert!(error.to_string().contains("shop.dump"), "{error}");
    }
    for files in [&[][..], &[("toc.dat.gz".to_owned(), vec![1, 2])]] {
        let error = Archive::open(&OnDisk::folder(files).path).unwrap_err();
        assert!(error.to_string().contains("toc.dat"), "{error}");
    }
    let error = Archive::open(Path::new("no/such/archive")).unwrap_err();
    assert!(error.to_string().contains("no/such/archive"), "{error}");
}
