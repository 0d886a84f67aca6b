//! Archives read in every format; and what becomes of those that are damaged, or made to harm.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::pg::Oid;

use super::decode::{Coding, decoded};
use super::header::{Compression, Layout, Version};
use super::made::{self, OBJECTS, OnDisk, ROWS};
use super::{Archive, Chunk, Manifest, read_error};

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
fn what_is_left_of_a_large_object_is_passed_over() {
    for (what, archive) in OnDisk::all() {
        let archive = Archive::open(&archive.path).unwrap();
        let mut seen = Vec::new();
        archive
            .large_objects(&archive.contents().items[3], &mut |oid, _| {
                seen.push(oid.0);
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, OBJECTS.map(|(oid, _)| oid), "{what}");
    }
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    for compression in made::COMPRESSIONS {
        let contents = made::contents(Layout::Custom, compression, Version::V1_16);
        for with_places in [true, false] {
            cut_off_anywhere(&made::custom(&contents, with_places), 0);
        }
    }
    let contents = made::contents(Layout::Tar, Compression::None, Version::V1_14);
    // The end is marked twice.
    cut_off_anywhere(&made::tar(&made::files(&contents)), 512);
}

fn cut_off_anywhere(bytes: &[u8], needless: usize) {
    // A table of contents that was cut off anywhere is another test's.
    let contents = made::length_of_contents(bytes).unwrap_or_default();
    for length in contents.saturating_sub(9)..bytes.len() - needless {
        let archive = OnDisk::file(&bytes[..length]);
        let error = match all(&archive.path) {
            Ok(_) => panic!("{length} of {} bytes are enough", bytes.len()),
            Err(error) => error,
        };
        let text = error.to_string();
        assert!(text.contains("shop.dump"), "{length}: {text}");
        assert!(error.hint_text().is_some(), "{length}: {text}");
        assert_eq!(error.kind(), Kind::Refused, "{length}: {text}");
    }
}

#[test]
fn a_folders_file_that_was_cut_off_anywhere_is_refused() {
    for compression in made::COMPRESSIONS {
        let files = made::files(&made::contents(Layout::Directory, compression, Version::V1_16));
        for (number, (name, bytes)) in files.iter().enumerate() {
            for length in 0..bytes.len() {
                if cannot_be_told(name, &bytes[..length], compression) {
                    continue;
                }
                let mut files = files.clone();
                files[number].1.truncate(length);
                match all(&OnDisk::folder(&files).path) {
                    Ok(_) => panic!("{length} bytes of {name} are enough, {compression:?}"),
                    Err(error) => assert!(error.to_string().contains(name), "{length}: {error}"),
                }
            }
        }
    }
}

/// Whether nothing says that more is missing of a file than is there.
fn cannot_be_told(name: &str, left: &[u8], compression: Compression) -> bool {
    let is_rows_but_for_empty_lines = left.ends_with(b"\\.\n") || left.ends_with(b"\\.\n\n");
    match compression {
        // A list that is shorter by a line leaves a file that nothing refers to.
        _ if name == "blobs_4.toc" => left.is_empty() || left.ends_with(b"\n"),
        Compression::None if name.starts_with("blob_") => true,
        Compression::None => is_rows_but_for_empty_lines,
        // Of an empty large object pg_dump writes nothing at all.
        Compression::Lz4 | Compression::Zstd => name.starts_with("blob_") && left.is_empty(),
        Compression::Gzip => false,
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let files = made::files(&made::contents(Layout::Directory, Compression::Zstd, Version::V1_15));
    for (name, _) in &files {
        let rest: Vec<_> = files.iter().filter(|(other, _)| other != name).cloned().collect();
        let error = all(&OnDisk::folder(&rest).path).unwrap_err();
        assert!(error.to_string().contains(name.trim_end_matches(".zst")), "{name}: {error}");
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        if let Ok(archive) = Archive::open(&OnDisk::folder(&rest).path)
            && !name.starts_with("blob_")
        {
            let everything = archive.contents().items.iter().map(|item| item.id).collect();
            let error = archive.require_files(&everything).unwrap_err();
            assert!(error.to_string().contains("reading entry "), "{name}: {error}");
        }
    }
}

#[test]
fn a_flipped_bit_is_never_a_panic() {
    for (what, archive) in OnDisk::all() {
        if archive.path.is_dir() || !what.contains("V1_16") {
            continue;
        }
        let bytes = std::fs::read(&archive.path).unwrap();
        for at in (0..bytes.len()).step_by(if bytes.len() > 2000 { 3 } else { 1 }) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&archive.path, &bytes).unwrap();
            if let Err(error) = all(&archive.path) {
                assert!(error.hint_text().is_some(), "{what} {at}: {error}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_in_rows_is_found_where_they_have_a_checksum() {
    for (coding, in_blocks) in [(Coding::Zlib, true), (Coding::Gzip, false)] {
        let good = made::compressed(ROWS.as_bytes(), Compression::Gzip, in_blocks);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let mut read = Vec::new();
            let result = decoded(bytes.as_slice(), coding).unwrap().read_to_end(&mut read);
            // What a header says of its writer is of no meaning.
            assert!(result.is_err() || read == ROWS.as_bytes(), "{coding:?}: bit {bit}");
        }
    }
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

#[test]
fn names_that_lead_out_of_the_folder_are_refused_before_anything_is_read() {
    for name in ["../secret", "/etc/hostname", "a/b", "..", "C:\\x", "2.dat\n"] {
        for layout in [Layout::Directory, Layout::Tar] {
            let mut contents = made::contents(layout, Compression::None, Version::V1_16);
            contents.items[1].place = super::Place::File(name.to_owned());
            let files = {
                let good = made::contents(layout, Compression::None, Version::V1_16);
                let mut files = made::files(&good);
                files[0].1.clear();
                contents.write(&mut files[0].1).unwrap();
                files
            };
            let archive = match layout {
                Layout::Tar => OnDisk::file(&made::tar(&files)),
                _ => OnDisk::folder(&files),
            };
            let error = Archive::open(&archive.path).unwrap_err();
            assert!(error.to_string().contains("entry 2"), "{name}: {error}");
        }
    }
}

#[test]
fn a_list_of_large_objects_names_no_file_elsewhere() {
    for line in [
        "5 ../secret\n",
        "5 /etc/hostname\n",
        "5\n",
        "x blob_5.dat\n",
        "0 blob_5.dat\n",
        " \n",
        "5 blob_5.dat",
    ] {
        let mut files =
            made::files(&made::contents(Layout::Directory, Compression::None, Version::V1_16));
        files.last_mut().unwrap().1 = line.as_bytes().to_vec();
        let error = all(&OnDisk::folder(&files).path).unwrap_err();
        assert!(error.to_string().contains("blobs_4.toc"), "{line}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_never_followed() {
    for name in ["toc.dat", "2.dat", "blobs_4.toc", "blob_5.dat"] {
        let files =
            made::files(&made::contents(Layout::Directory, Compression::None, Version::V1_16));
        let archive = OnDisk::folder(&files);
        let (file, elsewhere) = (archive.path.join(name), archive.path.with_extension("elsewhere"));
        std::fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        let error = all(&archive.path).unwrap_err();
        assert!(error.to_string().contains("link") && error.to_string().contains(name), "{error}");
    }
}

#[test]
fn sizes_that_are_lies_take_no_memory() {
    let contents = made::contents(Layout::Custom, Compression::None, Version::V1_16);
    let good = made::custom(&contents, true);
    let length = super::Contents::read(good.as_slice()).unwrap().length as usize;
    // A string, and a block.
    for (at, says) in [(12 + 35 + 1, "cut off"), (length + 6 + 1, "shop.dump")] {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&i32::MAX.to_le_bytes());
        let error = all(&OnDisk::file(&bytes).path).unwrap_err();
        assert!(error.to_string().contains(says), "{at}: {error}");
    }
    let huge = made::tar_header("toc.dat", 0o77777777777, b'0');
    let error = Archive::open(&OnDisk::file(&huge).path).unwrap_err();
    assert!(error.to_string().contains("cut off"), "{error}");
}

#[test]
fn a_tar_file_has_files_only_and_each_once() {
    let files = made::files(&made::contents(Layout::Tar, Compression::None, Version::V1_16));
    let good = made::tar(&files);
    let link = [&made::tar_header("2.dat", 0, b'2')[..], &good].concat();
    let twice = made::tar(&[&files[..], &files[..1]].concat());
    let mut behind_a_path = good.clone();
    behind_a_path[345] = b'x';
    let in_a_folder = made::tar(&[("shop/toc.dat".to_owned(), Vec::new())]);
    let mut all = vec![
        (link, "link"),
        (twice, "the same name"),
        (behind_a_path, "damaged"),
        (in_a_folder, "name the folder"),
    ];
    for (kind, says) in [
        (b'1', "link"),
        (b'3', "device"),
        (b'4', "device"),
        (b'5', "name the folder"),
        (b'6', "pipe"),
        (b'7', "something else"),
        (b'L', "another kind of tar"),
        (b'S', "holes"),
        (b'g', "another kind of tar"),
        (b'x', "another kind of tar"),
    ] {
        all.push(([&made::tar_header("2.dat", 0, kind)[..], &good].concat(), says));
    }
    for (bytes, says) in all {
        let error = Archive::open(&OnDisk::file(&bytes).path).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("shop.dump at byte "), "{error}");
        assert_eq!(error.kind(), Kind::Refused, "{error}");
    }
}

#[test]
fn a_table_of_contents_that_contradicts_its_file_is_refused() {
    let custom = made::contents(Layout::Custom, Compression::None, Version::V1_16);
    let mut twice = custom.clone();
    twice.items[1].id = twice.items[0].id;
    let error = Archive::open(&OnDisk::file(&made::custom(&twice, true)).path).unwrap_err();
    assert!(error.to_string().contains("number 1"), "{error}");

    let mut header = Vec::new();
    custom.header.write(&mut header).unwrap();
    let mut fewer = made::custom(&custom, true);
    fewer[header.len() + 1] -= 1;
    let error = Archive::open(&OnDisk::file(&fewer).path).unwrap_err();
    assert!(error.to_string().contains("something else than data"), "{error}");

    let folder = made::contents(Layout::Directory, Compression::None, Version::V1_16);
    let mut files = made::files(&folder);
    files[0].1[header.len() + 1] -= 1;
    let error = Archive::open(&OnDisk::folder(&files).path).unwrap_err();
    assert!(error.to_string().contains("after its last entry"), "{error}");
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
fn nothing_is_wrong_with_a_good_archive() {
    for (what, archive) in OnDisk::all() {
        let (counts, flaws) = looked_through(&archive.path);
        assert_eq!((counts, flaws), (vec![Some(3), Some(0), Some(3)], Vec::new()), "{what}");
    }
}

/// Those of ours, with their manifests.
fn ours() -> Vec<(String, OnDisk, Manifest)> {
    let mut all = Vec::new();
    for layout in [Layout::Directory, Layout::Custom] {
        for compression in made::COMPRESSIONS {
            let (archive, manifest) = made::ours(layout, compression);
            all.push((format!("{layout:?} {compression:?}"), archive, manifest));
        }
    }
    all
}

#[test]
fn a_chunk_is_read_by_itself_and_all_of_them_are_what_pg_restore_reads() {
    for (what, archive, manifest) in ours() {
        match all(&archive.path) {
            Ok(read) => assert_eq!(read, expected(), "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
        let opened = Archive::open(&archive.path).unwrap();
        assert_eq!(opened.manifest(), Some(&manifest));
        let item = &opened.contents().items[1];
        let mut read = String::new();
        for chunk in &manifest.rows_of(item.id).unwrap().chunks {
            opened
                .chunk(item, chunk)
                .unwrap()
                .read_to_string(&mut read)
                .map_err(read_error)
                .unwrap();
        }
        assert_eq!(read, ROWS, "{what}");
        let (counts, flaws) = looked_through(&archive.path);
        assert_eq!((counts, flaws), (vec![Some(3), Some(0), Some(3)], Vec::new()), "{what}");
    }
}

type Change = fn(&mut Manifest);

#[test]
fn whatever_differs_from_the_manifest_is_found() {
    let changes: [(&str, Change); 8] = [
        ("fingerprint", |manifest| {
            manifest.rows[0].fingerprint = manifest.rows[1].fingerprint.clone()
        }),
        ("CRC-32", |manifest| manifest.rows[0].chunks[1].crc32 ^= 1),
        ("CRC-32", |manifest| manifest.rows[2].chunks[0].crc32 ^= 1),
        ("number of rows", |manifest| manifest.rows[0].chunks[1].rows += 1),
        ("more bytes", |manifest| manifest.rows[0].chunks[1].bytes -= 1),
        ("in no chunk", |manifest| manifest.rows[0].chunks.truncate(1)),
        ("doesn't know", |manifest| manifest.rows.truncate(2)),
        ("entry 9", |manifest| manifest.rows[1].item = 9),
    ];
    for (what, archive, good) in ours() {
        for (says, change) in changes {
            let mut manifest = good.clone();
            change(&mut manifest);
            archive.put_manifest(&manifest);
            let (_, flaws) = looked_through(&archive.path);
            assert!(flaws.iter().any(|flaw| flaw.contains(says)), "{what}, {says}: {flaws:?}");
        }
        for (says, change) in [
            (
                "isn't of this archive",
                (|manifest| manifest.contents_crc32 ^= 1) as fn(&mut Manifest),
            ),
            ("isn't known", |manifest| manifest.format += 1),
        ] {
            let mut manifest = good.clone();
            change(&mut manifest);
            archive.put_manifest(&manifest);
            let error = Archive::open(&archive.path).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("pgconvoy.json"), "{what}: {error}");
        }
    }
}

#[test]
fn a_chunk_that_is_elsewhere_is_an_error() {
    for (what, archive, manifest) in ours() {
        let opened = Archive::open(&archive.path).unwrap();
        let item = &opened.contents().items[1];
        let good = manifest.rows[0].chunks[1];
        for offset in [good.offset - 1, good.offset + 1, 0, u64::MAX, u64::MAX - good.length] {
            let chunk = Chunk { offset, ..good };
            let mut read = Vec::new();
            let result = opened.chunk(item, &chunk).map(|mut from| from.read_to_end(&mut read));
            assert!(!matches!(result, Ok(Ok(_))), "{what} at {offset}");
        }
    }
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
fn what_an_entry_of_ours_depends_on_is_there() {
    let (_, manifest) = made::ours(Layout::Custom, Compression::None);
    let mut contents = made::contents(Layout::Custom, Compression::None, Version::V1_15);
    contents.items[0].depends_on.push(super::ItemId(77));
    let archive = OnDisk::file(&made::custom(&contents, true));
    let loose = || Archive::open(&archive.path).unwrap().loose_ends().unwrap();
    assert!(loose().is_empty(), "pg_dump's may depend on what it leaves out");
    let contents_crc32 = archive.crc32_of_contents();
    archive.put_manifest(&Manifest { contents_crc32, ..manifest });
    assert_eq!(loose(), ["entry 1, TABLE orders depends on entry 77, which isn't there"]);
}

#[test]
fn large_objects_are_read_some_at_a_time_in_any_order() {
    for (what, archive) in OnDisk::all() {
        let archive = Archive::open(&archive.path).unwrap();
        let item = &archive.contents().items[3];
        let some = |wanted| {
            let mut seen = Objects::new();
            archive
                .some_large_objects(item, &wanted, &mut |oid, from| {
                    let mut bytes = Vec::new();
                    from.read_to_end(&mut bytes).map_err(read_error)?;
                    seen.push((oid, bytes));
                    Ok(())
                })
                .unwrap();
            seen
        };
        let all = expected().2;
        for wanted in [1..2, 0..1, 2..9, 0..3, 1..u64::MAX, 3..9, 0..0] {
            let places = wanted.start.min(3) as usize..wanted.end.min(3) as usize;
            assert_eq!(some(wanted.clone()), all[places], "{what}: {wanted:?}");
        }
    }
}

#[test]
fn large_objects_are_those_that_entries_create() {
    for layout in [Layout::Custom, Layout::Directory] {
        for (oids, says) in [
            (&[5_u32, 7, 4_000_000_000][..], ""),
            (&[5, 4_000_000_000], "a large object 7 too many"),
            (&[5, 6, 7, 4_000_000_000], "it lacks 1 of 4"),
        ] {
            let mut contents = made::contents(layout, Compression::Gzip, Version::V1_16);
            for (id, oid) in (10..).zip(oids) {
                let item = contents.items[0].clone();
                let (desc, tag) = ("BLOB".to_owned(), oid.to_string());
                contents.items.push(super::Item { id: super::ItemId(id), desc, tag, ..item });
            }
            let archive = match layout {
                Layout::Custom => OnDisk::file(&made::custom(&contents, true)),
                _ => OnDisk::folder(&made::files(&contents)),
            };
            let archive = Archive::open(&archive.path).unwrap();
            let read = archive.measure(&archive.contents().items[3]);
            match (read, says) {
                (Ok(_), "") => {}
                (Err(error), says) if !says.is_empty() => {
                    assert!(error.to_string().contains(says), "{error}");
                    assert!(error.to_string().contains("entry 4"), "{error}");
                }
                (read, _) => panic!("{layout:?} {oids:?}: {read:?}"),
            }
        }
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
fn a_flipped_bit_anywhere_in_an_archive_of_ours_is_found_unless_it_means_nothing() {
    for (what, archive, _) in ours() {
        let contents = Archive::open(&archive.path).unwrap().contents().clone();
        let folder = archive.path.parent().unwrap();
        let folder = if archive.path.is_dir() { &archive.path } else { folder };
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
        for file in files {
            let good = std::fs::read(&file).unwrap();
            for at in 0..good.len() {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << (at % 8);
                std::fs::write(&file, &bytes).unwrap();
                let Ok(opened) = Archive::open(&archive.path) else { continue };
                let measured: Result<Vec<_>> =
                    opened.contents().items[1..].iter().map(|item| opened.measure(item)).collect();
                let is_found = measured.is_err() || !opened.loose_ends().unwrap().is_empty();
                let means_nothing = || {
                    *opened.contents() == contents && all(&archive.path).ok() == Some(expected())
                };
                assert!(is_found || means_nothing(), "{what}: byte {at} of {}", file.display());
            }
            std::fs::write(&file, good).unwrap();
        }
    }
}

#[test]
fn many_entries_are_read_as_fast_as_they_come() {
    let mut contents = made::contents(Layout::Directory, Compression::None, Version::V1_16);
    let files = made::files(&contents);
    let many =
        (10..30_000).map(|id| super::Item { id: super::ItemId(id), ..contents.items[0].clone() });
    contents.items.extend(many.collect::<Vec<_>>());
    let mut files = files;
    files[0].1.clear();
    contents.write(&mut files[0].1).unwrap();
    let archive = OnDisk::folder(&files);
    let started = std::time::Instant::now();
    let opened = Archive::open(&archive.path).unwrap();
    for id in 10..30_000 {
        assert!(opened.item(super::ItemId(id)).is_some());
    }
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}
