//! The directory `.git`: made by us, held by one process, and looked through before it is used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use wfldb_core::limits::MIRROR_COMMIT_BYTES_MAX;
use wfldb_core::mirror::GitId;

use super::program::{self, Git};
use super::{BRANCH, GitError};

pub(super) const DIR: &str = ".git";
/// Held by whoever writes. Its time says since when.
const WRITER: &str = "wfldb-writer";
/// How long to wait for it.
const BUSY: Duration = Duration::from_secs(2);
pub(super) const HEAD: &[u8] = b"ref: refs/heads/main\n";
/// For people who use git in the mirror; what the store itself runs is told everything. The path of the signers is below
/// the mirror, where git is when it reads it.
pub(super) const CONFIG: &[u8] = b"[core]
\trepositoryformatversion = 0
\tfilemode = false
\tsymlinks = false
\tautocrlf = false
\tbare = false
\tlogallrefupdates = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[gpg]
\tformat = ssh
[gpg \"ssh\"]
\tallowedSignersFile = keys/allowed_signers
";
/// What a repository has at least.
const DIRECTORIES: [&str; 6] = [
    "objects",
    "objects/info",
    "objects/pack",
    "refs",
    "refs/heads",
    "refs/tags",
];
/// What leads git to other places, or has it take one object for another.
pub(super) const DETOURS: [&str; 7] = [
    "commondir",
    "shallow",
    "config.worktree",
    "info/grafts",
    "objects/info/alternates",
    "objects/info/http-alternates",
    "refs/replace",
];

/// The repository of a mirror, held.
#[derive(Debug)]
pub(super) struct Repository {
    dir: PathBuf,
    writer: File,
}

impl Repository {
    /// Makes it where there is none.
    pub(super) fn open(mirror: &Path) -> Result<Self, GitError> {
        // Git is run from another place.
        let dir = mirror.canonicalize().map_err(GitError::io(mirror))?.join(DIR);
        make_directories(&dir)?;
        let path = dir.join(WRITER);
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        let writer = match opened {
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                return Err(GitError::InTheWay(path.display().to_string()));
            }
            opened => opened.map_err(GitError::io(&path))?,
        };
        lock(&writer, &path)?;
        let repository = Self { dir, writer };
        repository.check()?;
        Ok(repository)
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Looks at what git will go through, and puts right what is not ours.
    ///
    /// SECURITY: whoever can write in the mirror could lead git elsewhere. What is looked at here can be exchanged before
    /// git comes by; then it writes objects of the mirror to another place where the store's user may write.
    pub(super) fn check(&self) -> Result<(), GitError> {
        make_directories(&self.dir)?;
        self.keep("config", CONFIG)?;
        self.keep("HEAD", HEAD)?;
        for name in ["packed-refs", BRANCH] {
            let path = self.dir.join(name);
            match fs::symlink_metadata(&path) {
                Ok(found) if !found.is_file() => return Err(GitError::InTheWay(path.display().to_string())),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(GitError::io(&path)(error));
                }
                _ => {}
            }
        }
        for name in DETOURS {
            remove(&self.dir.join(name))?;
        }
        Ok(())
    }

    /// Since when everything that others did here is over: now, by the clock that the times of files come from.
    pub(super) fn now(&self) -> Result<SystemTime, GitError> {
        let mut writer = &self.writer;
        let path = self.dir.join(WRITER);
        let written = writer.write_all(b"\n").and_then(|()| self.writer.set_len(0));
        written
            .and_then(|()| self.writer.metadata()?.modified())
            .map_err(GitError::io(&path))
    }

    /// How many packs there are.
    pub(super) fn packs(&self) -> usize {
        let Ok(files) = fs::read_dir(self.dir.join("objects/pack")) else {
            return 0;
        };
        let is_pack = |name: &Path| name.extension().is_some_and(|extension| extension == "pack");
        files
            .flatten()
            .filter(|file| is_pack(Path::new(&file.file_name())))
            .count()
    }

    /// Writes a file of ours unless it is there as it should be.
    fn keep(&self, name: &str, content: &[u8]) -> Result<(), GitError> {
        let path = self.dir.join(name);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        if is_file && fs::read(&path).is_ok_and(|found| found == content) {
            return Ok(());
        }
        let fresh = self.dir.join(format!("{name}.wfldb"));
        remove(&fresh)?;
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().map_err(GitError::io(&path))
    }
}

/// A program that another thread is just starting holds the lock too, for a moment.
fn lock(writer: &File, path: &Path) -> Result<(), GitError> {
    let began = Instant::now();
    loop {
        match flock(writer, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if began.elapsed() < BUSY => thread::sleep(BUSY / 100),
            Err(Errno::WOULDBLOCK) => return Err(GitError::Busy),
            Err(error) => return Err(GitError::io(path)(error.into())),
        }
    }
}

/// The commit that the branch is at, with its bytes.
pub(crate) fn branch(git: &Git, limit: Duration) -> Result<Option<(GitId, Vec<u8>)>, GitError> {
    let arguments = ["cat-file", "--batch"];
    let answer = git.run(&arguments, limit, |input| {
        input.write_all(BRANCH.as_bytes())?;
        input.write_all(b"\n")
    })?;
    if answer == format!("{BRANCH} missing\n").as_bytes() {
        return Ok(None);
    }
    let named = answer.iter().position(|byte| *byte == b' ');
    let id = program::id(&arguments, answer.get(..named.unwrap_or(0)).unwrap_or_default())?;
    let mut answer = answer.as_slice();
    let object = next_commit(&mut answer, id)?;
    Ok(Some((id, object.to_owned())))
}

/// The next object of what `cat-file --batch` answers, which is the commit `id`.
pub(super) fn next_commit<'a>(answer: &mut &'a [u8], id: GitId) -> Result<&'a [u8], GitError> {
    let end = answer
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(answer.len());
    let (line, rest) = answer.split_at(end);
    let line = String::from_utf8_lossy(line);
    let len = line
        .strip_prefix(&format!("{id} commit "))
        .and_then(|len| len.parse::<usize>().ok());
    let len = len
        .filter(|len| *len <= MIRROR_COMMIT_BYTES_MAX)
        .ok_or(GitError::NotOurs(id))?;
    let object = rest.get(1..=len).ok_or(GitError::NotOurs(id))?;
    *answer = rest.get(len + 2..).unwrap_or_default();
    Ok(object)
}

/// Looks whether all that git goes through are directories.
pub(super) fn are_directories(dir: &Path) -> Result<(), GitError> {
    let names = DIRECTORIES.iter().map(|name| dir.join(name));
    for path in std::iter::once(dir.to_owned()).chain(names) {
        if !fs::symlink_metadata(&path).map_err(GitError::io(&path))?.is_dir() {
            return Err(GitError::InTheWay(path.display().to_string()));
        }
    }
    Ok(())
}

fn make_directories(dir: &Path) -> Result<(), GitError> {
    make_directory(dir)?;
    DIRECTORIES
        .iter()
        .try_for_each(|name| make_directory(&dir.join(name)))
}

fn make_directory(path: &Path) -> Result<(), GitError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(GitError::InTheWay(path.display().to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(GitError::io(path)),
        Err(error) => Err(GitError::io(path)(error)),
    }
}

/// Removes whatever is there, without following it.
fn remove(path: &Path) -> Result<(), GitError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Err(GitError::io(path)(error))
        }
        _ => Ok(()),
    }
}
