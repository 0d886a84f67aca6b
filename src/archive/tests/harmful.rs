//! Archives that are made to harm, or contradict themselves.

use super::*;

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
    let length = Contents::read(good.as_slice()).unwrap().length as usize;
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
