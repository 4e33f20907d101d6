//! The rules of full text: what a bucket asks to be indexed, how a search is written, what a request for one says.
//! Pure, like all of this crate; words, stems and scores are those of `wfldb-text`.

mod config;
mod lexer;
mod parser;
mod query;
mod request;

pub use self::config::{Language, TextConfig, TextField};
pub use self::parser::Operator;
pub use self::query::{Clause, Group, Query, TextError, TextFault};
pub use self::request::{RequestError, SearchRequest};
