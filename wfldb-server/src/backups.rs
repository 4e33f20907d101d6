//! Where backups may be put: below one directory that the operator names, and nowhere else.
//!
//! SECURITY: whoever may take backups signs a request from anywhere; a path of theirs must not reach the rest of the
//! machine. What stands in the operator's directory is the operator's: who can write there can move things meanwhile.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::fault::Fault;

/// The directory that the operator allows, if there is one.
#[derive(Debug)]
pub(crate) struct BackupRoot(Option<PathBuf>);

impl BackupRoot {
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        Self(root)
    }

    /// The directory that a caller's path names. What is not there yet is made by the backup.
    ///
    /// # Errors
    /// `BackupNotConfigured`; `Body` when the path is not absolute; `BackupPath` when it is not below the root, has a
    /// `..` in it, or goes through a symbolic link.
    pub(crate) fn place(&self, asked: &Path) -> Result<PathBuf, Fault> {
        let root = self.0.as_deref().ok_or(Fault::BackupNotConfigured)?;
        if !asked.is_absolute() {
            return Err(Fault::Body);
        }
        let below = asked.strip_prefix(root).map_err(|_| Fault::BackupPath)?;
        // The root itself is the operator's word, links in it included.
        let mut place = root.canonicalize().map_err(|_| Fault::BackupPath)?;
        let mut is_there = true;
        for part in below.components() {
            let Component::Normal(name) = part else {
                return Err(Fault::BackupPath);
            };
            place.push(name);
            if is_there {
                match place.symlink_metadata() {
                    Ok(found) if found.is_dir() => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => is_there = false,
                    Ok(_) | Err(_) => return Err(Fault::BackupPath),
                }
            }
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Seeded: `..` taken like any other part; links followed.
    #[test]
    fn no_path_leaves_the_directory_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("backups");
        fs::create_dir_all(root.join("there")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        symlink(dir.path().join("outside"), root.join("link")).unwrap();
        symlink(root.join("there"), root.join("there/inner")).unwrap();
        let backups = BackupRoot::new(Some(root.clone()));
        let real = root.canonicalize().unwrap();
        for fine in ["", "there", "there/new/deeper", "new", "..name", "a b"] {
            let place = backups.place(&root.join(fine)).unwrap();
            assert!(place.starts_with(&real), "{fine}");
        }
        for leaves in [
            "../outside",
            "there/../../outside",
            "there/..",
            "new/../../outside",
            "link",
            "link/deeper",
            "there/inner",
            "file",
            "file/deeper",
        ] {
            let refused = backups.place(&root.join(leaves));
            assert!(matches!(refused, Err(Fault::BackupPath)), "{leaves}: {refused:?}");
        }
        for elsewhere in [
            dir.path(),
            Path::new("/"),
            Path::new("/etc"),
            &dir.path().join("backups2"),
        ] {
            let refused = backups.place(elsewhere);
            assert!(
                matches!(refused, Err(Fault::BackupPath)),
                "{}",
                elsewhere.display()
            );
        }
        assert!(matches!(backups.place(Path::new("there")), Err(Fault::Body)));
        let none = BackupRoot::new(None);
        assert!(matches!(none.place(&root), Err(Fault::BackupNotConfigured)));
    }

    /// The operator may name the directory by a link.
    #[test]
    fn the_root_may_be_a_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("disk")).unwrap();
        let root = dir.path().join("link");
        symlink(dir.path().join("disk"), &root).unwrap();
        let place = BackupRoot::new(Some(root.clone()))
            .place(&root.join("daily"))
            .unwrap();
        assert_eq!(place, dir.path().canonicalize().unwrap().join("disk/daily"));
    }
}
