//! A search that was read becomes a query of tantivy, with what it costs bounded before it runs.

use std::collections::{BTreeMap, BTreeSet};

use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, EmptyQuery, FuzzyTermQuery, Occur, PhraseQuery,
    Query as Compiled, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::termdict::TermDictionary;
use tantivy::{Searcher, Term};
use wfldb_core::limits::{TEXT_EXPANSIONS_MAX, TEXT_PREFIX_CHARS_MIN};
use wfldb_core::text::{Clause, Group, Query, TextError, TextFault};

use crate::analysis::{Analysis, Token, tokens};
use crate::error::TextViewError;
use crate::excluded::Excluded;
use crate::schema::Layout;

/// What each word adds that was found by a fuzzy one or by its beginning: nothing of an index is in it.
const OPEN_SCORE: f32 = 1.0;

/// A search, ready to run.
pub(crate) struct Plan {
    pub(crate) query: Box<dyn Compiled>,
    /// The words whose frequency counts in scores.
    pub(crate) scored: BTreeSet<Term>,
    /// The words of each field that match, by its number: for highlighting.
    pub(crate) marked: BTreeMap<usize, BTreeSet<String>>,
}

/// Compiles a search for one state of an index.
pub(crate) fn compile(
    query: &Query,
    layout: &Layout,
    analysis: &Analysis,
    searcher: &Searcher,
) -> Result<Plan, TextViewError> {
    let mut compiler = Compiler {
        layout,
        analysis,
        searcher,
        scored: BTreeSet::new(),
        marked: BTreeMap::new(),
    };
    let asked = compiler.group(query.group(), true)?;
    let query = asked.ok_or(TextError {
        fault: TextFault::Empty,
        at: 1,
    })?;
    Ok(Plan {
        query,
        scored: compiler.scored,
        marked: compiler.marked,
    })
}

struct Compiler<'a> {
    layout: &'a Layout,
    analysis: &'a Analysis,
    searcher: &'a Searcher,
    scored: BTreeSet<Term>,
    marked: BTreeMap<usize, BTreeSet<String>>,
}

/// `None`: there is no word in it, so it says nothing.
type Maybe = Result<Option<Box<dyn Compiled>>, TextViewError>;

impl Compiler<'_> {
    fn group(&mut self, group: &Group, counts: bool) -> Maybe {
        let mut clauses = Vec::new();
        let mut asks = false;
        for (occur, parts) in [
            (Occur::Must, &group.must),
            (Occur::Should, &group.should),
            (Occur::MustNot, &group.must_not),
        ] {
            for part in parts {
                // What is excluded marks nothing.
                let counts = counts && occur != Occur::MustNot;
                if let Some(compiled) = self.clause(part, counts)? {
                    asks |= occur != Occur::MustNot;
                    clauses.push(match occur {
                        Occur::MustNot => (occur, Box::new(Excluded(compiled)) as Box<dyn Compiled>),
                        Occur::Must | Occur::Should => (occur, compiled),
                    });
                }
            }
        }
        Ok(asks.then(|| Box::new(BooleanQuery::new(clauses)) as Box<dyn Compiled>))
    }

    fn clause(&mut self, clause: &Clause, counts: bool) -> Maybe {
        match clause {
            Clause::Group(group) => self.group(group, counts),
            Clause::Boost(inner, weight) => {
                let inner = self.clause(inner, counts)?;
                Ok(inner.map(|inner| Box::new(BoostQuery::new(inner, *weight)) as Box<dyn Compiled>))
            }
            Clause::Word { field, text, .. } | Clause::Phrase { field, text, .. } => {
                let words = tokens(&self.analysis.stemmed, text);
                self.in_fields(*field, |compiler, number, field| {
                    Ok(compiler.side_by_side(number, field, &words, counts))
                })
            }
            Clause::Prefix { field, text, at } => {
                let Some(word) = self.one_word(text, *at, false)? else {
                    return Ok(None);
                };
                if word.chars().count() < TEXT_PREFIX_CHARS_MIN {
                    return Err(refuse(TextFault::Prefix, *at));
                }
                self.in_fields(*field, |compiler, number, field| {
                    let found = compiler.expand(field, *at, |terms, taken| {
                        let range = terms.range().ge(word.as_bytes());
                        let range = match end_of(word.as_bytes()) {
                            Some(end) => range.lt(end),
                            None => range,
                        };
                        let mut stream = range.into_stream()?;
                        while stream.advance() && taken(stream.key()) {}
                        Ok(())
                    })?;
                    Ok(Some(compiler.any_of(number, field, found, counts)))
                })
            }
            Clause::Fuzzy {
                field,
                text,
                distance,
                at,
            } => {
                let Some(word) = self.one_word(text, *at, true)? else {
                    return Ok(None);
                };
                self.in_fields(*field, |compiler, number, field| {
                    let term = Term::from_field_text(field, &word);
                    let automaton = FuzzyTermQuery::new(term.clone(), *distance, true).automaton()?;
                    let found = compiler.expand(field, *at, |terms, taken| {
                        let mut stream = terms.search(&automaton).into_stream()?;
                        while stream.advance() && taken(stream.key()) {}
                        Ok(())
                    })?;
                    // The word itself counts for more than those that are like it.
                    let exact = compiler.term(number, term, counts);
                    let like = compiler.any_of(number, field, found, counts);
                    Ok(Some(
                        Box::new(BooleanQuery::union(vec![exact, like])) as Box<dyn Compiled>
                    ))
                })
            }
        }
    }

    /// The same in each field that a clause is about, any of which may match.
    fn in_fields(
        &mut self,
        of: Option<usize>,
        mut compile: impl FnMut(&mut Self, usize, Field) -> Maybe,
    ) -> Maybe {
        let layout = self.layout;
        let first = of.unwrap_or(0);
        let mut found = Vec::new();
        for (number, field) in layout.fields(of).iter().enumerate() {
            found.extend(compile(self, first + number, *field)?);
        }
        if found.len() < 2 {
            return Ok(found.pop());
        }
        Ok(Some(Box::new(BooleanQuery::union(found))))
    }

    fn side_by_side(
        &mut self,
        number: usize,
        field: Field,
        words: &[Token],
        counts: bool,
    ) -> Option<Box<dyn Compiled>> {
        let terms = words
            .iter()
            .map(|word| (word.position, Term::from_field_text(field, &word.text)));
        let mut terms: Vec<(usize, Term)> = terms.collect();
        if terms.len() < 2 {
            let (_, term) = terms.pop()?;
            return Some(self.term(number, term, counts));
        }
        for (_, term) in &terms {
            self.note(number, term, counts);
        }
        Some(Box::new(PhraseQuery::new_with_offset(terms)))
    }

    fn term(&mut self, number: usize, term: Term, counts: bool) -> Box<dyn Compiled> {
        self.note(number, &term, counts);
        Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
    }

    fn note(&mut self, number: usize, term: &Term, counts: bool) {
        self.scored.insert(term.clone());
        if counts && let Some(text) = term.value().as_str() {
            self.marked.entry(number).or_default().insert(text.to_owned());
        }
    }

    fn any_of(
        &mut self,
        number: usize,
        field: Field,
        words: BTreeSet<String>,
        counts: bool,
    ) -> Box<dyn Compiled> {
        if words.is_empty() {
            return Box::new(EmptyQuery);
        }
        let terms: Vec<Term> = words
            .iter()
            .map(|word| Term::from_field_text(field, word))
            .collect();
        if counts {
            self.marked.entry(number).or_default().extend(words);
        }
        let set = TermSetQuery::new(terms);
        Box::new(ConstScoreQuery::new(Box::new(set), OPEN_SCORE))
    }

    /// The words of a field's index that `walk` finds, of which there may be so many only in each segment.
    fn expand(
        &self,
        field: Field,
        at: usize,
        walk: impl Fn(&TermDictionary, &mut dyn FnMut(&[u8]) -> bool) -> Result<(), TextViewError>,
    ) -> Result<BTreeSet<String>, TextViewError> {
        let mut found = BTreeSet::new();
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(field)?;
            let mut count = 0;
            walk(inverted.terms(), &mut |word| {
                count += 1;
                if let Ok(word) = std::str::from_utf8(word) {
                    found.insert(word.to_owned());
                }
                count <= TEXT_EXPANSIONS_MAX
            })?;
            if count > TEXT_EXPANSIONS_MAX {
                return Err(refuse(TextFault::TooBroad, at));
            }
        }
        Ok(found)
    }

    /// The one word that a text is; `None` when there is none in it.
    fn one_word(&self, text: &str, at: usize, stemmed: bool) -> Result<Option<String>, TextViewError> {
        let analyzer = if stemmed {
            &self.analysis.stemmed
        } else {
            &self.analysis.plain
        };
        let mut words = tokens(analyzer, text);
        if words.len() > 1 {
            return Err(refuse(TextFault::OneWord, at));
        }
        Ok(words.pop().map(|word| word.text))
    }
}

fn refuse(fault: TextFault, at: usize) -> TextViewError {
    TextError { fault, at }.into()
}

/// The first bytes behind all that begin with `prefix`; `None` where nothing is.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Some(end)
}
