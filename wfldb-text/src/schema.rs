//! What stands in an index: for each document its key, its version and the words of its fields. No text is stored.

use tantivy::schema::{BytesOptions, FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{TantivyDocument, Term};
use wfldb_core::doc::Object;
use wfldb_core::id::VersionId;
use wfldb_core::text::TextConfig;

/// Names of columns.
pub(crate) const KEY: &str = "key";
pub(crate) const VERSION_HIGH: &str = "version_high";
pub(crate) const VERSION_LOW: &str = "version_low";
/// The analyzer's name in the index.
pub(crate) const WORDS: &str = "words";
/// Goes up when an index made before would be read wrongly.
const LAYOUT: u32 = 1;

/// The fields of a bucket's index.
#[derive(Clone)]
pub(crate) struct Layout {
    pub(crate) schema: Schema,
    pub(crate) key: Field,
    high: Field,
    low: Field,
    /// In the order of the configuration.
    pub(crate) texts: Vec<Field>,
    pub(crate) config: TextConfig,
}

impl Layout {
    pub(crate) fn new(config: &TextConfig) -> Self {
        let mut schema = Schema::builder();
        let key = schema.add_bytes_field(KEY, BytesOptions::default().set_indexed().set_fast());
        let high = schema.add_u64_field(VERSION_HIGH, FAST);
        let low = schema.add_u64_field(VERSION_LOW, FAST);
        let words = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_fieldnorms(true)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let options = TextOptions::default().set_indexing_options(words);
        // By number: the configuration has the names, and any text can be one.
        let texts = (0..config.fields.len()).map(|number| format!("text{number}"));
        let texts = texts
            .map(|name| schema.add_text_field(&name, options.clone()))
            .collect();
        Self {
            schema: schema.build(),
            key,
            high,
            low,
            texts,
            config: config.clone(),
        }
    }

    /// Tells layouts apart: an index is of one only.
    pub(crate) fn definition(config: &TextConfig) -> String {
        // Of a struct of texts and enums this cannot fail.
        let config = serde_json::to_string(config).unwrap_or_default();
        let text = format!("{LAYOUT} {} {config}", tantivy::version_string());
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// What stands for a document.
    pub(crate) fn document(&self, key: &str, version: &VersionId, document: &Object) -> TantivyDocument {
        let mut row = TantivyDocument::default();
        let (high, low) = halves(version);
        row.add_bytes(self.key, key.as_bytes());
        row.add_u64(self.high, high);
        row.add_u64(self.low, low);
        for (field, text) in self.texts.iter().zip(&self.config.fields) {
            // One by one, so that no phrase goes from one string into the next.
            for text in text.strings(document) {
                row.add_text(*field, text);
            }
        }
        row
    }

    pub(crate) fn key_term(&self, key: &str) -> Term {
        Term::from_field_bytes(self.key, key.as_bytes())
    }

    /// The fields that a clause is about.
    pub(crate) fn fields(&self, of: Option<usize>) -> &[Field] {
        match of {
            None => &self.texts,
            Some(number) => self.texts.get(number..=number).unwrap_or_default(),
        }
    }
}

fn halves(version: &VersionId) -> (u64, u64) {
    let number = u128::from_be_bytes(version.to_bytes());
    let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
    let high = u64::try_from(number >> 64).unwrap_or_default();
    (high, low)
}

/// The version that stands in two columns.
pub(crate) fn version(high: u64, low: u64) -> VersionId {
    let number = u128::from(high) << 64 | u128::from(low);
    VersionId::from_bytes(number.to_be_bytes())
}
