//! A body gathered until its hash is known: in memory while it is small, else in a file of ours that has no name.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::rules::Refusal;
use crate::Error;
use crate::call::random;
use crate::file::OpenFile;
use crate::outgoing::Source;

/// Bodies up to this size stay in memory.
const IN_MEMORY_BYTES_MAX: usize = 256 * 1024;
/// How much is handed to the disk at once.
const STEP_BYTES: usize = 1024 * 1024;
/// The longest silence of a caller.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// Gathers a body of at most `bytes_max`.
pub(super) async fn gather(mut body: Incoming, bytes_max: u64) -> Result<Source, Refusal> {
    let mut memory = BytesMut::new();
    let mut file: Option<(File, PathBuf)> = None;
    let mut len: u64 = 0;
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, body.frame()).await;
        let frame = match frame {
            Err(_) => return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body stopped")),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Refusal::new(StatusCode::BAD_REQUEST, "the body broke off")),
            Ok(Some(Ok(frame))) => frame,
        };
        let bytes = frame
            .into_data()
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "trailers are not passed on"))?;
        len = len.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if len > bytes_max {
            return Err(too_large(bytes_max));
        }
        memory.extend_from_slice(&bytes);
        let full = if file.is_none() {
            IN_MEMORY_BYTES_MAX
        } else {
            STEP_BYTES
        };
        if memory.len() > full {
            file = Some(write(file, memory.split().freeze()).await?);
        }
    }
    let Some(known) = file else {
        return Ok(Source::of_bytes(memory.freeze()));
    };
    let (file, path) = write(Some(known), memory.freeze()).await?;
    blocking(move || Source::of_open(Arc::new(OpenFile::of_file(file, path)?))).await
}

/// What a body that is too large is answered.
pub(super) fn too_large(bytes_max: u64) -> Refusal {
    let why = format!("the body is larger than {bytes_max} bytes (--max-body)");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

async fn write(file: Option<(File, PathBuf)>, bytes: bytes::Bytes) -> Result<(File, PathBuf), Refusal> {
    blocking(move || {
        let (mut file, path) = file.map_or_else(create, Ok)?;
        file.write_all(&bytes)
            .map_err(|error| Error::io("cannot write", &path, &error))?;
        Ok((file, path))
    })
    .await
}

/// A file that only we can open, and after this nobody: its name is gone, so nothing is left of it whatever happens.
fn create() -> Result<(File, PathBuf), Error> {
    let name = format!("wfldb-agent-{:032x}.tmp", u128::from_be_bytes(random()?));
    let path = std::env::temp_dir().join(name);
    let open = || {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    };
    let file = open().map_err(|error: std::io::Error| Error::io("cannot write", &path, &error))?;
    Ok((file, path))
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = |why: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why);
    tokio::task::spawn_blocking(job)
        .await
        .map_err(|_| failed("the agent failed".to_owned()))?
        .map_err(|error| failed(error.to_string()))
}
