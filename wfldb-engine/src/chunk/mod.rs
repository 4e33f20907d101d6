//! Chunks: immutable files addressed by the BLAKE3 of their bytes, one directory per bucket.
//!
//! `store` writes, finds and removes them, `writer` those of a large body; `pins` keeps the chunks of a write in flight from being swept, `hold` all of
//! them while a backup runs; `file` holds the file's layout, `pack` what is compressed in it, `pool` and `buffers` what
//! is used again; `link` shares files between buckets, `outside` looks at a backup's; `garbage` removes what nothing
//! names. Which version refers to which chunk is a row in `chunks`, not known here.

mod buffers;
mod file;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod garbage;
mod hold;
mod link;
mod outside;
mod pack;
mod pins;
mod pool;
mod store;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use self::buffers::ChunkBuffer;
pub(crate) use self::file::ChunkReader;
pub use self::garbage::Collected;
pub(crate) use self::garbage::GarbageWorker;
pub(crate) use self::hold::Hold;
pub(crate) use self::outside::Checker;
pub(crate) use self::pins::Pins;
pub(crate) use self::store::{ChunkStore, References};
#[cfg(test)]
pub(crate) use self::tests::file_seeds;
pub(crate) use self::writer::ChunkWriter;

/// What the readers and writers of a store's chunk files share.
#[derive(Debug)]
pub(crate) struct Resources {
    packer: pack::Packer,
    buffers: buffers::Buffers,
    chunk_buffers: std::sync::Arc<buffers::ChunkBuffers>,
}

impl Resources {
    fn new() -> Self {
        Self {
            packer: pack::Packer::new(),
            buffers: buffers::Buffers::default(),
            chunk_buffers: std::sync::Arc::default(),
        }
    }
}

/// Why a chunk could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChunkError {
    /// The file is not what was written.
    #[error("chunk is damaged: {0}")]
    Damaged(&'static str),
    /// The file system refused.
    #[error("chunk file: {0}")]
    Io(#[from] std::io::Error),
    /// Whether the chunk is referenced could not be read.
    #[error("chunk reference: {0}")]
    Reference(#[from] crate::storage::StorageError),
}
