//! Archives read in every format; and what becomes of those that are damaged, or made to harm.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::pg::Oid;

use super::decode::{Coding, decoded};
use super::header::{Compression, Layout, Version};
use super::made::{self, OBJECTS, OnDisk, ROWS};
use super::{Archive, read_error};

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
    for version in [Version::V1_14, Version::V1_16] {
        for compression in [Compression::None, Compression::Gzip] {
            let custom = made::contents(Layout::Custom, compression, version);
            for with_places in [true, false] {
                cut_off_anywhere(&made::custom(&custom, with_places), 0);
            }
        }
        let tar = made::contents(Layout::Tar, Compression::None, version);
        // The end is marked twice.
        cut_off_anywhere(&made::tar(&made::files(&tar)), 512);
    }
    for compression in [Compression::Lz4, Compression::Zstd] {
        let contents = made::contents(Layout::Custom, compression, Version::V1_16);
        cut_off_anywhere(&made::custom(&contents, true), 0);
    }
}

fn cut_off_anywhere(bytes: &[u8], needless: usize) {
    for length in 0..bytes.len() - needless {
        let archive = OnDisk::file(&bytes[..length]);
        match all(&archive.path) {
            Ok(_) => panic!("{length} of {} bytes are enough", bytes.len()),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("shop.dump"), "{length}: {text}");
                assert!(error.hint_text().is_some(), "{length}: {text}");
                assert_eq!(error.kind(), Kind::Refused, "{length}: {text}");
            }
        }
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
    }
}

#[test]
fn a_flipped_bit_is_never_a_panic() {
    for (what, archive) in OnDisk::all() {
        if archive.path.is_dir() || !what.contains("V1_16") {
            continue;
        }
        let bytes = std::fs::read(&archive.path).unwrap();
        for at in 0..bytes.len() {
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
    for (bytes, says) in [(link, "link"), (twice, "the same name")] {
        let error = Archive::open(&OnDisk::file(&bytes).path).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
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
