//! Where an archive goes: under its own name only once it is whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::archive::{
    self, Contents, Data, Laying, Layout, Manifest, sync_folder, write_custom, write_directory,
    write_script,
};
use crate::engine::Partial;
use crate::engine::failpoint::{self, Act, Point};
use crate::error::{Error, Kind, Result};

use super::DumpRequest;

/// Where an archive goes.
pub(super) struct Destination {
    to: To,
    layout: Layout,
}

enum To {
    Path(PathBuf),
    /// To standard output; the folder is where it is made.
    Output(tempfile::TempDir),
}

impl Destination {
    /// What is there already isn't touched.
    pub(super) fn new(request: &DumpRequest) -> Result<Destination> {
        let layout = request.form.layout();
        let Some(path) = request.path.clone() else {
            if layout != Layout::Custom {
                return Err(Error::usage("dumping to standard output")
                    .because("a directory isn't one stream")
                    .hint("add --format custom, or give a path by --file"));
            }
            let aside = tempfile::tempdir().map_err(|error| {
                Error::step("making a temporary folder")
                    .io(error)
                    .hint("set TMPDIR to a folder with room for the archive")
            })?;
            return Ok(Destination { to: To::Output(aside), layout });
        };
        let destination = Destination { to: To::Path(path), layout };
        destination.refuse_existing()?;
        Ok(destination)
    }

    /// The folder in which it is made.
    pub(super) fn partial(&self) -> PathBuf {
        match &self.to {
            To::Path(path) => Partial::folder(path),
            To::Output(aside) => Partial::folder(&aside.path().join("dump")),
        }
    }

    /// Puts the archive together, and gives it its name.
    pub(super) fn assemble(
        self,
        mut contents: Contents,
        data: &[Data],
        laying: Laying,
        partial: Partial,
    ) -> Result<()> {
        let To::Path(path) = &self.to else {
            write_custom(&mut contents, data, laying, &mut std::io::stdout().lock())?;
            return partial.remove();
        };
        failpoint::pass(Point::Before(Act::JoinPacks));
        let made = partial.archive();
        archive::remove(&made).map_err(|error| failed("removing", &made, error))?;
        match self.layout {
            Layout::Custom => {
                let make = |error| failed("writing", &made, error);
                let mut file = File::create(&made).map_err(make)?;
                let manifest = write_custom(&mut contents, data, laying, &mut file);
                let manifest = manifest.map_err(|error| error.hint(MAKE_ROOM))?;
                file.sync_all().map_err(make)?;
                failpoint::pass(Point::After(Act::JoinPacks));
                self.refuse_existing()?;
                manifest.write(&Manifest::path(path, self.layout))?;
            }
            Layout::Directory | Layout::Tar => {
                fs::create_dir(&made).map_err(|error| failed("making", &made, error))?;
                let written = write_directory(&contents, data, laying, &made);
                written.map_err(|error| error.hint(MAKE_ROOM))?;
                failpoint::pass(Point::After(Act::JoinPacks));
                self.refuse_existing()?;
            }
        }
        failpoint::pass(Point::Before(Act::NameArchive));
        fs::rename(&made, path).map_err(|error| failed("naming", path, error))?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        failpoint::pass(Point::After(Act::NameArchive));
        partial.remove()
    }

    /// Writes a script.
    pub(super) fn write_script(&self, contents: &Contents) -> Result<()> {
        let To::Path(path) = &self.to else {
            let written = write_script(contents, &mut std::io::stdout().lock());
            return written.map_err(|error| Error::step("writing the script").io(error));
        };
        let failed = |error| failed("writing", path, error);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let made = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
        let mut made = made.map_err(failed)?;
        let mut file = std::io::BufWriter::new(made.as_file_mut());
        write_script(contents, &mut file).and_then(|()| file.flush()).map_err(failed)?;
        drop(file);
        made.persist_noclobber(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    pub(super) fn refuse_existing(&self) -> Result<()> {
        let To::Path(path) = &self.to else { return Ok(()) };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("looking for", path, error)),
            Ok(_) => Err(Error::new(Kind::Refused, format!("writing {}", path.display()))
                .because("it is there already")
                .hint(match Partial::folder(path) {
                    // A run was cut off between its last act and the tidying up.
                    left if left.exists() => format!(
                        "if a dump of ours made it, it is whole, and {} can be removed; else give \
                         another --file, or move it away",
                        left.display()
                    ),
                    _ => "give another --file, or move it away".to_owned(),
                })),
        }
    }
}

fn failed(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::step(format!("{doing} {}", path.display())).io(error).hint(MAKE_ROOM)
}

const MAKE_ROOM: &str =
    "see that there is room, and that it can be written; then run the same command again";
