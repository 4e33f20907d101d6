//! How text becomes words: cut at what is no letter or digit, in lower case, brought to stems, accents taken off.

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language as Snowball, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer,
    TextAnalyzer, TokenStream,
};
use wfldb_core::limits::TEXT_WORD_BYTES_MAX;
use wfldb_core::text::Language;

/// A word as it is indexed, with its number in the text and its bytes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) position: usize,
    pub(crate) bytes: std::ops::Range<usize>,
}

/// The two ways in which words are read: as documents are, and without stems, for beginnings of words.
#[derive(Clone)]
pub(crate) struct Analysis {
    pub(crate) stemmed: TextAnalyzer,
    pub(crate) plain: TextAnalyzer,
}

impl Analysis {
    pub(crate) fn new(language: Language) -> Self {
        Self {
            stemmed: analyzer(snowball(language)),
            plain: analyzer(None),
        }
    }
}

fn analyzer(language: Option<Snowball>) -> TextAnalyzer {
    let words = TextAnalyzer::builder(SimpleTokenizer::default())
        // Of what is longer not even the stem is found.
        .filter(RemoveLongFilter::limit(TEXT_WORD_BYTES_MAX + 1))
        .filter(LowerCaser)
        .dynamic();
    // ORDER: stems first. Some languages tell words apart by accents.
    let stems = match language {
        Some(language) => words.filter_dynamic(Stemmer::new(language)),
        None => words,
    };
    stems.filter_dynamic(AsciiFoldingFilter).build()
}

/// The words of a text.
pub(crate) fn tokens(analyzer: &TextAnalyzer, text: &str) -> Vec<Token> {
    let mut analyzer = analyzer.clone();
    let mut stream = analyzer.token_stream(text);
    let mut found = Vec::new();
    while stream.advance() {
        let token = stream.token();
        // A stem can be nothing.
        if !token.text.is_empty() {
            found.push(Token {
                text: token.text.clone(),
                position: token.position,
                bytes: token.offset_from..token.offset_to,
            });
        }
    }
    found
}

fn snowball(language: Language) -> Option<Snowball> {
    Some(match language {
        Language::None => return None,
        Language::Arabic => Snowball::Arabic,
        Language::Danish => Snowball::Danish,
        Language::Dutch => Snowball::Dutch,
        Language::English => Snowball::English,
        Language::Finnish => Snowball::Finnish,
        Language::French => Snowball::French,
        Language::German => Snowball::German,
        Language::Greek => Snowball::Greek,
        Language::Hungarian => Snowball::Hungarian,
        Language::Italian => Snowball::Italian,
        Language::Norwegian => Snowball::Norwegian,
        Language::Portuguese => Snowball::Portuguese,
        Language::Romanian => Snowball::Romanian,
        Language::Russian => Snowball::Russian,
        Language::Spanish => Snowball::Spanish,
        Language::Swedish => Snowball::Swedish,
        Language::Tamil => Snowball::Tamil,
        Language::Turkish => Snowball::Turkish,
    })
}
