//! What fuzzing feeds: an archive that anybody may have made up.

use std::io::Write;

use super::contents::{Contents, Item, Place, UTF8};
use super::entries::toc_of;
use super::header::Layout;
use super::open::Archive;

/// A table of contents, which becomes entries to restore; or a custom or tar file, of which all is
/// read.
///
/// # Panics
/// If what was read of a table of contents isn't what would be written again, or if reading the
/// rest does anything but succeed or fail.
pub fn archive(bytes: &[u8]) {
    if let Ok(mut contents) = Contents::read(bytes) {
        let all = contents.items.iter().map(|item| item.id).collect();
        let _whatever_it_comes_to = toc_of(&contents, None, &all, |_| 0);
        // What is written is in UTF-8.
        let is_utf8 = |item: &Item| item.desc != "ENCODING" || item.encoding() == Some(UTF8);
        if contents.items.iter().all(is_utf8) {
            let mut written = Vec::new();
            contents.write(&mut written).expect("what was read can be written");
            let again = Contents::read(written.as_slice()).expect("what was written can be read");
            contents.length = again.length;
            // A folder's says that it is a tar file's.
            if contents.header.layout == Layout::Directory {
                contents.header.layout = Layout::Tar;
            }
            assert_eq!(contents, again);
        }
    }
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(bytes).expect("a file can be written");
    if let Ok(archive) = Archive::open(file.path()) {
        for item in &archive.contents().items {
            if item.place != Place::Nowhere {
                let _measure = archive.measure(item);
            }
        }
        let _loose = archive.loose_ends();
    }
}
