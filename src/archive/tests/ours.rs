//! Archives of ours, held against their manifests.

use super::*;

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
fn what_an_entry_of_ours_depends_on_is_there() {
    let (_, manifest) = made::ours(Layout::Custom, Compression::None);
    let mut contents = made::contents(Layout::Custom, Compression::None, Version::V1_15);
    contents.items[0].depends_on.push(ItemId(77));
    let archive = OnDisk::file(&made::custom(&contents, true));
    let loose = || Archive::open(&archive.path).unwrap().loose_ends().unwrap();
    assert!(loose().is_empty(), "pg_dump's may depend on what it leaves out");
    let contents_crc32 = archive.crc32_of_contents();
    archive.put_manifest(&Manifest { contents_crc32, ..manifest });
    assert_eq!(loose(), ["entry 1, TABLE orders depends on entry 77, which isn't there"]);
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
