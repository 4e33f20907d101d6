//! What a search means, and what can be wrong with one.

use super::TextConfig;
use super::parser::{self, Operator};

/// A search that was read, within all limits.
///
/// ```
/// use wfldb_core::text::{Operator, Query, TextConfig};
///
/// let query = Query::parse("\"red fox\" +den -hound~1", Operator::Or, &TextConfig::default())?;
/// assert_eq!(query.group().should.len(), 1);
/// let error = Query::parse("red (fox", Operator::Or, &TextConfig::default()).unwrap_err();
/// assert_eq!(error.to_string(), "a parenthesis is not closed at character 5");
/// # Ok::<(), wfldb_core::text::TextError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Query(Group);

impl Query {
    /// Reads a search in the fields of a bucket.
    ///
    /// # Errors
    /// [`TextError`] with the place of the first fault.
    pub fn parse(text: &str, operator: Operator, config: &TextConfig) -> Result<Self, TextError> {
        Self::parse_in(None, text, operator, config)
    }

    /// [`Query::parse`], with words that name no field searched in this one.
    ///
    /// # Errors
    /// The same; [`TextFault::UnknownField`] at the first character when the bucket has no such field.
    pub fn parse_in(
        field: Option<&str>,
        text: &str,
        operator: Operator,
        config: &TextConfig,
    ) -> Result<Self, TextError> {
        let unknown = TextError {
            fault: TextFault::UnknownField,
            at: 1,
        };
        let field = field.map(|name| config.field(name).ok_or(unknown)).transpose()?;
        parser::parse(field, text, operator, config).map(Self)
    }

    /// The outermost group.
    pub fn group(&self) -> &Group {
        &self.0
    }
}

/// Clauses together. At least one of `must` and `should` is not empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// All of these match.
    pub must: Vec<Clause>,
    /// One of these matches, if `must` is empty; else they only raise the score.
    pub should: Vec<Clause>,
    /// None of these matches.
    pub must_not: Vec<Clause>,
}

/// A part of a search. `field` is the number of a field in the bucket's configuration, `None` for any of them; `at` is
/// the character that the part begins with, from 1.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are explained above")]
pub enum Clause {
    /// A word: what it is broken into stands side by side.
    Word {
        field: Option<usize>,
        text: String,
        at: usize,
    },
    /// Words side by side.
    Phrase {
        field: Option<usize>,
        text: String,
        at: usize,
    },
    /// Words that begin so.
    Prefix {
        field: Option<usize>,
        text: String,
        at: usize,
    },
    /// Words that are at most so many changes away.
    Fuzzy {
        field: Option<usize>,
        text: String,
        distance: u8,
        at: usize,
    },
    /// A group inside.
    Group(Group),
    /// The clause with its score multiplied.
    Boost(Box<Clause>, f32),
}

/// What is wrong with a search, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at character {at}")]
pub struct TextError {
    /// What.
    pub fault: TextFault,
    /// Where: the number of a character of the search, from 1.
    pub at: usize,
}

/// What is wrong with a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TextFault {
    #[error("there is nothing to search for")]
    Empty,
    #[error("a search has at most 4,096 bytes")]
    TooLong,
    #[error("a search has at most 64 words and phrases")]
    TooManyClauses,
    #[error("a search has at most 8 words that are fuzzy or end in `*`")]
    TooManyOpen,
    #[error("a phrase has at most 32 words")]
    PhraseTooLong,
    #[error("groups are nested at most 16 deep")]
    TooDeep,
    #[error("a parenthesis is not closed")]
    Unclosed,
    #[error("a parenthesis is closed that was not opened")]
    Unopened,
    #[error("a quotation mark is not closed")]
    Unquoted,
    #[error("a word or phrase is expected")]
    Expected,
    #[error("this field is not indexed")]
    UnknownField,
    #[error("the distance of a fuzzy word is 1 or 2")]
    Distance,
    #[error("a weight is a number above 0 and up to 100")]
    Weight,
    #[error("`*` stands behind at least 2 characters of a word")]
    Prefix,
    #[error("`~` and `*` stand behind one word of letters and digits")]
    OneWord,
    #[error("what is excluded needs something beside it to be taken from")]
    OnlyExcluded,
    #[error("too many words of the index match this")]
    TooBroad,
}
