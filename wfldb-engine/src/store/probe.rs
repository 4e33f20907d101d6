//! Opening a copy first. fjall repairs what it opens: it cuts damaged journals and deletes keyspaces that it takes
//! for unfinished. So a copy made of links is opened first, by a child process where one is given (damage can
//! abort it), and the store itself only when the copy is sound.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::layout::{Layout, remove_all};
use super::slots::HighWaterMark;
use super::verify::{Verdict, verify};
use crate::storage::{FjallStorage, Storage, StorageError};

/// How the copy is opened.
#[derive(Debug, Clone, Default)]
pub enum Prober {
    /// In this process, on a thread: for embedded use. Damage that aborts takes the process along.
    #[default]
    InProcess,
    /// By `program arguments… <store directory>`, which must call [`probe_main`].
    Child(PathBuf, Vec<OsString>),
}

/// What the copy says about the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probed {
    Sound,
    /// The copy opens and can be read; this is wrong with it.
    Damaged(String),
    /// The copy does not open.
    Unopenable(String),
}

const DAMAGED: u8 = 10;
const UNOPENABLE: u8 = 11;
/// A child's reason is cut here.
const REASON_BYTES_MAX: u64 = 4096;

/// The child's side: opens the copy in `dir/probe`, prints what is wrong, and exits with 0 (sound), 10 (damaged but
/// readable) or 11 (does not open).
pub fn probe_main(dir: &Path) -> ExitCode {
    let (code, reason) = match probe_here(&Layout::new(dir)) {
        Probed::Sound => (ExitCode::SUCCESS, String::new()),
        Probed::Damaged(reason) => (ExitCode::from(DAMAGED), reason),
        Probed::Unopenable(reason) => (ExitCode::from(UNOPENABLE), reason),
    };
    // The exit code is the answer; the reason is for people.
    let _ = io::stdout().write_all(reason.as_bytes());
    code
}

fn probe_here(layout: &Layout) -> Probed {
    let durable = match HighWaterMark::open(&layout.high_water_mark()) {
        Ok((_, durable)) => durable,
        Err(error) => return Probed::Damaged(format!("the HWM file: {error}")),
    };
    match FjallStorage::open(&layout.probe(), 8 * 1024 * 1024) {
        Ok(storage) => match verify(&*storage.snapshot(), durable) {
            Verdict::Sound(_) => Probed::Sound,
            Verdict::Damaged(reason, _) => Probed::Damaged(reason),
        },
        Err(StorageError::Open(reason)) => Probed::Unopenable(reason),
        Err(error) => Probed::Unopenable(error.to_string()),
    }
}

/// Makes the copy and has it opened.
pub(crate) fn probe(layout: &Layout, prober: &Prober) -> io::Result<Probed> {
    copy_database(&layout.database(), &layout.probe())?;
    run_probe(layout, prober)
}

/// Has the copy in `layout`'s `probe/` opened.
pub(crate) fn run_probe(layout: &Layout, prober: &Prober) -> io::Result<Probed> {
    match prober {
        Prober::InProcess => {
            let layout = layout.clone();
            let thread = std::thread::spawn(move || probe_here(&layout));
            Ok(thread
                .join()
                .unwrap_or_else(|_| Probed::Unopenable("opening it panics".to_owned())))
        }
        Prober::Child(program, arguments) => {
            let mut child = Command::new(program)
                .args(arguments)
                .arg(&layout.dir)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let mut reason = String::new();
            if let Some(output) = child.stdout.take() {
                let mut bytes = Vec::new();
                output.take(REASON_BYTES_MAX).read_to_end(&mut bytes)?;
                reason = String::from_utf8_lossy(&bytes).into_owned();
            }
            let status = child.wait()?;
            Ok(match status.code() {
                Some(0) => Probed::Sound,
                Some(code) if code == i32::from(DAMAGED) => Probed::Damaged(reason),
                Some(code) if code == i32::from(UNOPENABLE) => Probed::Unopenable(reason),
                _ => Probed::Unopenable(format!("opening it ends the process ({status})")),
            })
        }
    }
}

/// Copies a database: tables and blobs are immutable and are linked; journals and manifests are copied, since an open
/// changes them.
pub(crate) fn copy_database(from: &Path, to: &Path) -> io::Result<()> {
    remove_all(to)?;
    fs::create_dir_all(to.join("keyspaces"))?;
    copy_files(from, to)?;
    for keyspace in fs::read_dir(from.join("keyspaces"))? {
        let keyspace = keyspace?;
        if !keyspace.file_type()?.is_dir() {
            continue;
        }
        let (from, to) = (keyspace.path(), to.join("keyspaces").join(keyspace.file_name()));
        fs::create_dir_all(&to)?;
        copy_files(&from, &to)?;
        for folder in ["tables", "blobs"] {
            let from = from.join(folder);
            if !from.is_dir() {
                continue;
            }
            let to = to.join(folder);
            fs::create_dir_all(&to)?;
            for file in fs::read_dir(from)? {
                let file = file?;
                let target = to.join(file.file_name());
                if fs::hard_link(file.path(), &target).is_err() {
                    // Another file system, or one without links.
                    fs::copy(file.path(), target)?;
                }
            }
        }
    }
    Ok(())
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for file in fs::read_dir(from)? {
        let file = file?;
        if file.file_type()?.is_file() {
            copy_sparse(&file.path(), &to.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// Journals are made 64 MiB long and are mostly a hole: blocks of zeros are left out of the copy.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = File::create(to)?;
    let len = source.metadata()?.len();
    let mut block = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        let read = source.read(&mut block)?;
        if read == 0 {
            break;
        }
        let content = block.get(..read).unwrap_or_default();
        if content.iter().any(|byte| *byte != 0) {
            target.seek(SeekFrom::Start(at))?;
            target.write_all(content)?;
        }
        at += read as u64;
    }
    target.set_len(len)
}
