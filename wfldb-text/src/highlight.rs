//! The places of a document that match, cut out of its text.
//!
//! SECURITY: a place is given in pieces and never with markup in it. The text is the user's and may hold any markup
//! of its own; who shows it escapes each piece and puts their own around those that match.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;
use tantivy::tokenizer::TextAnalyzer;

use crate::analysis::tokens;

/// Characters of a place, about: it ends at the end of a word.
const PLACE_BYTES: usize = 160;
/// Places of one field at most.
const PLACES_MAX: usize = 3;

/// A place that matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Highlight {
    /// The field, as the bucket's configuration names it.
    pub field: String,
    /// The text in pieces: the second, the fourth and so on are what matches. Together they are the text as it stands
    /// in the document.
    pub pieces: Vec<String>,
}

/// The best places of a field.
pub(crate) fn highlights(
    field: &str,
    texts: &[&str],
    analyzer: &TextAnalyzer,
    words: &BTreeSet<String>,
) -> Vec<Highlight> {
    let mut places: Vec<(usize, Vec<String>)> = texts
        .iter()
        .filter_map(|text| place(text, analyzer, words))
        .collect();
    // Stable: of those with as many words the first stays the first.
    places.sort_by_key(|(found, _)| std::cmp::Reverse(*found));
    places.truncate(PLACES_MAX);
    let places = places.into_iter().map(|(_, pieces)| Highlight {
        field: field.to_owned(),
        pieces,
    });
    places.collect()
}

/// The place of a text with the most different words of the search in it, and their number.
fn place(text: &str, analyzer: &TextAnalyzer, words: &BTreeSet<String>) -> Option<(usize, Vec<String>)> {
    let tokens = tokens(analyzer, text);
    let matches: Vec<(&str, Range<usize>)> = tokens
        .iter()
        .filter(|token| words.contains(&token.text))
        .map(|token| (token.text.as_str(), token.bytes.clone()))
        .collect();
    let mut best: Option<(usize, Range<usize>)> = None;
    for (first, (_, bytes)) in matches.iter().enumerate() {
        let within = matches.iter().skip(first);
        let within = within.take_while(|(_, other)| other.end <= bytes.start + PLACE_BYTES);
        let different: BTreeSet<&str> = within.map(|(word, _)| *word).collect();
        let found = different.len().max(1);
        if best.as_ref().is_none_or(|(most, _)| found > *most) {
            best = Some((found, bytes.clone()));
        }
        if found == words.len() {
            break;
        }
    }
    let (found, first) = best?;
    // A little of what stands before, from the beginning of a word on.
    let wanted = first.start.saturating_sub(PLACE_BYTES / 4);
    let before = tokens.iter().map(|token| token.bytes.start);
    let from = if wanted == 0 {
        0
    } else {
        before
            .filter(|start| *start >= wanted)
            .min()
            .unwrap_or(first.start)
    };
    let until = tokens.iter().map(|token| token.bytes.end);
    let last = until
        .filter(|end| *end <= from + PLACE_BYTES)
        .max()
        .unwrap_or(first.end)
        .max(first.end);
    // What follows the last word of the whole text belongs to it.
    let to = if tokens.last().is_some_and(|token| token.bytes.end == last) && text.len() - last <= 8 {
        text.len()
    } else {
        last
    };
    let mut pieces = Vec::new();
    let mut at = from;
    for (_, bytes) in matches {
        if bytes.start >= at && bytes.end <= to {
            pieces.push(text.get(at..bytes.start)?.to_owned());
            pieces.push(text.get(bytes.clone())?.to_owned());
            at = bytes.end;
        }
    }
    pieces.push(text.get(at..to)?.to_owned());
    Some((found, pieces))
}
