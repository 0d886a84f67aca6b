//! Large objects, all or some of them.

use super::*;

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
                contents.items.push(Item { id: ItemId(id), desc, tag, ..item });
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
