//! A body whose length is not known beforehand (standard input) gathered until it is: in memory while
//! it is small, else in a temporary file that only we can read and that goes away with us.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use wfldb_client::{Error, Prepared};

const IN_MEMORY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Gathered bytes, ready to be sent.
#[derive(Debug)]
pub(crate) struct Spool {
    memory: Vec<u8>,
    file: Option<(File, PathBuf)>,
}

impl Spool {
    fn new() -> Self {
        Self {
            memory: Vec::new(),
            file: None,
        }
    }

    /// All of standard input. Blocks.
    fn of_stdin() -> Result<Self, Error> {
        let mut spool = Self::new();
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 1024 * 1024];
        loop {
            let read = stdin
                .read(&mut buffer)
                .map_err(|error| Error::Local(format!("cannot read standard input: {error}")))?;
            match buffer.get(..read) {
                None | Some([]) => return Ok(spool),
                Some(piece) => spool.push(piece)?,
            }
        }
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.file.is_none() && self.memory.len().saturating_add(piece.len()) <= IN_MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        let failed = |error: std::io::Error| Error::Local(format!("cannot write a temporary file: {error}"));
        if self.file.is_none() {
            let path = std::env::temp_dir().join(format!("wfldb-{:032x}.tmp", random()?));
            let file = File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(failed)?;
            let (file, _) = self.file.insert((file, path));
            file.write_all(&std::mem::take(&mut self.memory))
                .map_err(failed)?;
        }
        let Some((file, _)) = &mut self.file else {
            return Ok(());
        };
        file.write_all(piece).map_err(failed)
    }

    /// Hashes what was gathered. The spool must live until it is sent.
    pub(crate) async fn prepare(&mut self) -> Result<Prepared, Error> {
        match &self.file {
            None => Ok(Prepared::bytes(std::mem::take(&mut self.memory))),
            Some((_, path)) => Prepared::file(path).await,
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.file {
            // What stays after a failure here is a file of ours in the temporary directory.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn random() -> Result<u128, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Local(format!("no random numbers: {error}")))?;
    Ok(u128::from_be_bytes(bytes))
}

/// All of standard input.
pub(crate) async fn stdin() -> Result<Spool, Error> {
    tokio::task::spawn_blocking(Spool::of_stdin)
        .await
        .map_err(|error| Error::Local(error.to_string()))?
}
