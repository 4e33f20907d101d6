//! Searches answered by looking at each document, with nothing of tantivy: words by their letters, stems from a table
//! written by hand, scores by the formula.

use wfldb_core::doc::Object;
use wfldb_core::text::{Clause, Group, Query, TextConfig};

use super::Corpus;

/// Words and their English stems.
pub(super) const STEMS: [(&str, &str); 14] = [
    ("run", "run"),
    ("runs", "run"),
    ("running", "run"),
    ("fox", "fox"),
    ("foxes", "fox"),
    ("hunt", "hunt"),
    ("hunting", "hunt"),
    ("hunted", "hunt"),
    ("jumps", "jump"),
    ("jumped", "jump"),
    ("den", "den"),
    ("hen", "hen"),
    ("dens", "den"),
    ("runt", "runt"),
];

pub(super) fn stem(word: &str, stems: bool) -> String {
    let found = STEMS.iter().find(|(from, _)| *from == word);
    found
        .filter(|_| stems)
        .map_or(word.to_owned(), |(_, stem)| (*stem).to_owned())
}

fn words(text: &str, stems: bool) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| stem(&word.to_lowercase(), stems))
        .collect()
}

/// The words of a field, string by string.
fn field(document: &Object, config: &TextConfig, number: usize, stems: bool) -> Vec<Vec<String>> {
    let texts = config.fields[number].strings(document);
    texts.iter().map(|text| words(text, stems)).collect()
}

/// Changes between two words: insertions, deletions, replacements, and neighbours that change places.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
    for row in 0..=left.len() {
        for column in 0..=right.len() {
            table[row][column] = match (row, column) {
                (0, other) | (other, 0) => other,
                _ => {
                    let same = usize::from(left[row - 1] != right[column - 1]);
                    let mut best = (table[row - 1][column] + 1)
                        .min(table[row][column - 1] + 1)
                        .min(table[row - 1][column - 1] + same);
                    if row > 1
                        && column > 1
                        && left[row - 1] == right[column - 2]
                        && left[row - 2] == right[column - 1]
                    {
                        best = best.min(table[row - 2][column - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    table[left.len()][right.len()]
}

fn clause(clause: &Clause, document: &Object, config: &TextConfig, stems: bool) -> bool {
    let in_fields = |of: &Option<usize>, matches: &dyn Fn(&[String]) -> bool| {
        let numbers = of.map_or(0..config.fields.len(), |number| number..number + 1);
        let mut numbers = numbers;
        numbers.any(|number| {
            let strings = field(document, config, number, stems);
            strings.iter().any(|words| matches(words))
        })
    };
    match clause {
        Clause::Group(inner) => group(inner, document, config, stems),
        Clause::Boost(inner, _) => self::clause(inner, document, config, stems),
        Clause::Word { field, text, .. } | Clause::Phrase { field, text, .. } => {
            let phrase = words(text, stems);
            in_fields(field, &|words| {
                words.windows(phrase.len().max(1)).any(|part| part == phrase)
            })
        }
        Clause::Prefix { field, text, .. } => {
            let begin = text.to_lowercase();
            in_fields(field, &|words| words.iter().any(|word| word.starts_with(&begin)))
        }
        Clause::Fuzzy {
            field,
            text,
            distance: most,
            ..
        } => {
            let wanted = stem(&text.to_lowercase(), stems);
            in_fields(field, &|words| {
                words
                    .iter()
                    .any(|word| distance(word, &wanted) <= usize::from(*most))
            })
        }
    }
}

fn group(group: &Group, document: &Object, config: &TextConfig, stems: bool) -> bool {
    let matches = |part: &Clause| clause(part, document, config, stems);
    let positive = if group.must.is_empty() {
        group.should.iter().any(matches)
    } else {
        group.must.iter().all(matches)
    };
    positive && !group.must_not.iter().any(matches)
}

/// The keys of the documents that match.
pub(super) fn matching<'a>(
    query: &Query,
    corpus: &'a Corpus,
    config: &TextConfig,
    stems: bool,
) -> Vec<&'a str> {
    let matches = corpus
        .iter()
        .filter(|(_, document)| group(query.group(), document, config, stems));
    matches.map(|(key, _)| key.as_str()).collect()
}

/// BM25 of one word in one field, over the documents that are given: by score, then key.
#[expect(clippy::cast_precision_loss, reason = "counts of a small corpus")]
pub(super) fn ranked(word: &str, corpus: &Corpus, config: &TextConfig, number: usize) -> Vec<(String, f32)> {
    let (k1, b) = (1.2_f32, 0.75_f32);
    let flat = |document: &Object| field(document, config, number, false).concat();
    let count = |document: &Object| flat(document).iter().filter(|found| *found == word).count() as f32;
    let documents = corpus.len() as f32;
    let average = corpus
        .values()
        .map(|document| flat(document).len() as f32)
        .sum::<f32>()
        / documents;
    let having = corpus.values().filter(|document| count(document) > 0.0).count() as f32;
    let idf = (1.0 + (documents - having + 0.5) / (having + 0.5)).ln();
    let mut ranked: Vec<(String, f32)> = corpus
        .iter()
        .filter(|(_, document)| count(document) > 0.0)
        .map(|(key, document)| {
            let length = flat(document).len() as f32;
            let frequency = count(document);
            let score = idf * frequency * (k1 + 1.0) / (frequency + k1 * (1.0 - b + b * length / average));
            (key.clone(), score)
        })
        .collect();
    ranked.sort_by(|left, right| right.1.total_cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    ranked
}
