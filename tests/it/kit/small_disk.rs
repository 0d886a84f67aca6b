//! A disk that is soon full.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A disk in memory, of so many megabytes; unmounted when dropped. To mount one takes root, or a
/// sudo that doesn't ask, as .ci/run has one or the other: nothing less makes a disk that a server
/// finds full.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one that belongs to the account of this number; why not, where that can't be.
    pub(crate) fn mount(megabytes: u32, owner: u32) -> Result<SmallDisk, String> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={megabytes}m,mode=755,uid={owner}");
        as_root("mount", &["-t", "tmpfs", "-o", &options, "pgconvoy-test"], folder.path())?;
        Ok(SmallDisk(folder))
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Makes it larger.
    pub(crate) fn resize(&self, megabytes: u32) {
        let options = format!("remount,size={megabytes}m");
        as_root("mount", &["-o", &options], self.folder()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that a panic left may still be on it.
        let _ = as_root("umount", &["-l"], self.folder());
    }
}

fn as_root(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|ours| ours.uid() == 0);
    let mut command = Command::new(if is_root { program } else { "sudo" });
    if !is_root {
        command.args(["-n", program]);
    }
    let output = command.args(arguments).arg(folder).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
