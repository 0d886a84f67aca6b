//! Archives that were cut off, or whose bits were flipped.

use super::super::decode::{Coding, decoded};
use super::*;

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
