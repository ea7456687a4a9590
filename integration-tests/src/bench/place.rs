//! Where a server of a run keeps its data: a folder that goes with it, or one that stays for the
//! next run, since a mailbox of a million letters takes minutes to fill.

use std::path::{Path, PathBuf};

/// A folder for one server.
#[derive(Debug)]
pub enum Place {
    /// Removed when the server ends.
    Temporary(tempfile::TempDir),
    /// Left as it is.
    Kept(PathBuf),
}

impl Place {
    /// A new folder that goes with the server.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn temporary(name: &str) -> std::io::Result<Place> {
        let folder = tempfile::Builder::new().prefix(&format!("pb-{name}-")).tempdir()?;
        open_to_all(folder.path())?;
        Ok(Place::Temporary(folder))
    }

    /// `NAME` below `folder`, which stays.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn kept(folder: &Path, name: &str) -> std::io::Result<Place> {
        let path = folder.join(name);
        std::fs::create_dir_all(&path)?;
        open_to_all(folder)?;
        open_to_all(&path)?;
        Ok(Place::Kept(path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        match self {
            Place::Temporary(folder) => folder.path(),
            Place::Kept(path) => path,
        }
    }
}

/// Servers run their processes under several accounts, all of which have to pass here.
fn open_to_all(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}
