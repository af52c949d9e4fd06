//! Disks that are too small, for tests that fill them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of so many megabytes in place of a folder, gone with the test.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it over a folder, which is made where it is missing.
    ///
    /// # Panics
    /// When this process may not mount.
    pub fn mount(folder: &Path, megabytes: u32) -> SmallDisk {
        fs::create_dir_all(folder).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "this test mounts a small disk: run it as root, or in a container with CAP_SYS_ADMIN"
        );
        SmallDisk { folder: folder.to_owned() }
    }

    /// Takes the last byte of it.
    pub fn fill(&self) {
        let mut filler = File::create(self.folder.join("filler")).unwrap();
        while filler.write_all(&[1; 4096]).is_ok() {}
        while filler.write_all(&[1]).is_ok() {}
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn make_room(&self) {
        fs::remove_file(self.folder.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a failing test may leave prumo in the folder for a moment longer.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// How many bytes the files of a folder have, those of its folders included.
pub fn folder_bytes(folder: &Path) -> u64 {
    let bytes = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let paths = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    paths.map(|path| if path.is_dir() { folder_bytes(&path) } else { bytes(&path) }).sum()
}
