//! The index of one bucket on disk: opened or made, written in steps, each of which is durable together with the
//! cursor that says how far it is.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tantivy::indexer::IndexWriterOptions;
use tantivy::tokenizer::TokenizerManager;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Searcher};
use wfldb_core::doc::Object;
use wfldb_core::id::{BucketId, VersionId};
use wfldb_core::text::TextConfig;

use crate::analysis::Analysis;
use crate::error::TextViewError;
use crate::schema::{Layout, WORDS};

/// What a writer holds in memory before it makes a segment of it: the least that tantivy works with.
const WRITER_BYTES: usize = 15_000_000;

/// How far an index is. It is in the same commit as what it speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The layout and configuration that the index is of.
    pub(crate) definition: String,
    /// The bucket's id: an index in another bucket's directory is none.
    pub(crate) bucket: String,
    /// Every change up to this `seq` of the bucket is in the index.
    pub(crate) seq: u64,
    /// While the index is made from the documents: all keys up to this one are in it. `None` when it is whole.
    pub(crate) making: Option<String>,
}

/// An index that can be searched.
#[derive(Clone)]
pub(crate) struct Searchable {
    pub(crate) layout: Layout,
    pub(crate) analysis: Analysis,
    reader: IndexReader,
}

impl Searchable {
    pub(crate) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }
}

/// An index of one bucket, as its worker has it.
pub(crate) struct BucketIndex {
    pub(crate) searchable: Searchable,
    pub(crate) cursor: Cursor,
    index: Index,
    /// Opened when there is something to write, and let go of when there was nothing for a while.
    writer: Option<IndexWriter>,
}

/// What a step does to one key.
pub(crate) struct Entry {
    pub(crate) key: String,
    /// The newest version and its document; `None` when there is none.
    pub(crate) document: Option<(VersionId, Object)>,
}

/// Runs what calls tantivy, which has assertions where a damaged file breaks its expectations.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, TextViewError>) -> Result<T, TextViewError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(TextViewError::Index("it is not what was written".to_owned())))
}

impl BucketIndex {
    /// Opens the index in `dir`; makes a new one where there is none, or one that is damaged or of something else.
    /// A new one begins at `seq`, behind which changes are followed once all documents are in it.
    pub(crate) fn open(
        dir: &Path,
        bucket: BucketId,
        config: &TextConfig,
        seq: u64,
    ) -> Result<Self, TextViewError> {
        match guarded(|| Self::take_up(dir, bucket, config)) {
            Ok(Some(index)) => Ok(index),
            found => {
                if let Err(error) = found {
                    tracing::warn!(%bucket, %error, "a full-text index is made again");
                }
                Self::make(dir, bucket, config, seq)
            }
        }
    }

    fn take_up(dir: &Path, bucket: BucketId, config: &TextConfig) -> Result<Option<Self>, TextViewError> {
        if !dir.join("meta.json").exists() {
            return Ok(None);
        }
        // The files are mapped into memory later, where one that cannot be read would end the process.
        read_all(dir)?;
        let index = Index::open_in_dir(dir)?;
        let cursor = index.load_metas()?.payload;
        let cursor = cursor.and_then(|text| serde_json::from_str::<Cursor>(&text).ok());
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        if cursor.definition != Layout::definition(config) || cursor.bucket != bucket.to_string() {
            return Ok(None);
        }
        let damaged = index.validate_checksum()?;
        if !damaged.is_empty() {
            return Err(TextViewError::Index(format!(
                "{} files are damaged",
                damaged.len()
            )));
        }
        Self::assemble(index, cursor, config).map(Some)
    }

    /// An empty index in the place of whatever is there.
    fn make(dir: &Path, bucket: BucketId, config: &TextConfig, seq: u64) -> Result<Self, TextViewError> {
        remove(dir)?;
        fs::create_dir_all(dir)?;
        let layout = Layout::new(config);
        let index = Index::builder()
            .schema(layout.schema.clone())
            .create_in_dir(dir)?;
        let cursor = Cursor {
            definition: Layout::definition(config),
            bucket: bucket.to_string(),
            seq,
            making: Some(String::new()),
        };
        let mut made = Self::assemble(index, cursor.clone(), config)?;
        made.write(Vec::new(), cursor)?;
        Ok(made)
    }

    fn assemble(mut index: Index, cursor: Cursor, config: &TextConfig) -> Result<Self, TextViewError> {
        let layout = Layout::new(config);
        if index.schema() != layout.schema {
            return Err(TextViewError::Index("it has other fields".to_owned()));
        }
        let analysis = Analysis::new(config.language);
        let tokenizers = TokenizerManager::default();
        tokenizers.register(WORDS, analysis.stemmed.clone());
        index.set_tokenizers(tokenizers);
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(1)
            .try_into()?;
        Ok(Self {
            searchable: Searchable {
                layout,
                analysis,
                reader,
            },
            cursor,
            index,
            writer: None,
        })
    }

    /// Writes a step and where it leads, together. What was searched before stays as it was until this returns.
    ///
    /// DURABILITY: the cursor is in the commit that holds what it speaks of, so after a crash the index goes on from
    /// exactly what it has.
    pub(crate) fn write(&mut self, entries: Vec<Entry>, cursor: Cursor) -> Result<(), TextViewError> {
        let layout = &self.searchable.layout;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let options = IndexWriterOptions::builder()
                    .num_worker_threads(1)
                    .num_merge_threads(1)
                    .memory_budget_per_thread(WRITER_BYTES)
                    .build();
                none.insert(self.index.writer_with_options(options)?)
            }
        };
        for entry in entries {
            // ORDER: a deletion is of what was added before it.
            writer.delete_term(layout.key_term(&entry.key));
            if let Some((version, document)) = &entry.document {
                writer.add_document(layout.document(&entry.key, version, document))?;
            }
        }
        let payload =
            serde_json::to_string(&cursor).map_err(|error| TextViewError::Index(error.to_string()))?;
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        self.searchable.reader.reload()?;
        self.cursor = cursor;
        Ok(())
    }

    /// Lets go of the writer with its threads and memory.
    pub(crate) fn rest(&mut self) {
        self.writer = None;
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.writer.is_some()
    }
}

/// Reads every file once.
fn read_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            io::copy(&mut File::open(entry.path())?, &mut io::sink())?;
        }
    }
    Ok(())
}

/// Removes an index, if it is there.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The directory of a bucket's index.
pub(crate) fn place(views: &Path, bucket: BucketId) -> PathBuf {
    views.join(bucket.to_string())
}
