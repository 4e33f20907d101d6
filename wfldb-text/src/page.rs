//! A search with its answer: hits of the index, each held against the documents before it counts.

use std::collections::BTreeSet;

use bytes::Bytes;
use wfldb_core::auth::Authorized;
use wfldb_core::doc::Object;
use wfldb_core::id::VersionId;
use wfldb_core::limits::{TEXT_ANSWER_BYTES_MAX, TEXT_HITS_MAX};
use wfldb_core::name::ObjectKey;
use wfldb_core::text::{Query, SearchRequest};
use wfldb_engine::Engine;

use crate::compile::{Plan, compile};
use crate::error::TextViewError;
use crate::highlight::{Highlight, highlights};
use crate::index::{Searchable, guarded};
use crate::search::{Hit, hits};
use crate::views::{TextViews, View};

/// Hits that are asked for beyond those that are needed: some may be of versions that were replaced since.
const SLACK: usize = 16;
/// Hits whose documents are read at once.
const KEYS_AT_ONCE: usize = 16;

/// A page of hits, best first; equal scores by key.
#[derive(Clone, Debug, Default)]
pub struct SearchPage {
    /// The hits.
    pub hits: Vec<SearchHit>,
    /// More match.
    pub more: bool,
    /// Every change up to this `seq` of the bucket was looked at.
    pub seq: u64,
}

/// A document that matches, as it is now.
#[derive(Clone, Debug)]
pub struct SearchHit {
    /// Its key.
    pub key: ObjectKey,
    /// Its version.
    pub version: VersionId,
    /// How well it matches: larger is better. Scores of different searches cannot be compared.
    pub score: f32,
    /// The places that match, where they were asked for.
    pub highlights: Vec<Highlight>,
    /// The document as a reader gets it, where it was asked for.
    pub document: Option<Bytes>,
}

/// The keys that match, with their scores, best first: for a selector with `$text`.
#[derive(Clone, Debug, Default)]
pub struct TextMatches {
    /// Keys, versions and scores.
    pub matches: Vec<(ObjectKey, VersionId, f32)>,
    /// Every change up to this `seq` of the bucket was looked at.
    pub seq: u64,
}

impl TextViews {
    /// Searches the bucket that `proof` (of a query) names, as far as its holder may see it. Blocks.
    ///
    /// # Errors
    /// What is wrong with the search, with its place; `NotIndexed`; `Building`; those of the engine.
    pub fn search(&self, proof: &Authorized, request: &SearchRequest) -> Result<SearchPage, TextViewError> {
        request.check()?;
        let view = self.shared.of(proof)?;
        let query = request.read(&view.config)?;
        self.on(&view, |searchable, seq| {
            let search = Search {
                engine: &self.shared.engine,
                proof,
                searchable,
            };
            search.page(&query, request, seq)
        })
    }

    /// All that matches in the bucket that `proof` (of a query) names, as far as its holder may see it, up to 20,000
    /// keys. A key may have been replaced since: who reads it compares the version. Blocks.
    ///
    /// # Errors
    /// As [`TextViews::search`]; `TooManyHits`.
    pub fn matches(&self, proof: &Authorized, request: &SearchRequest) -> Result<TextMatches, TextViewError> {
        let view = self.shared.of(proof)?;
        let query = request.read(&view.config)?;
        self.on(&view, |searchable, seq| {
            let search = Search {
                engine: &self.shared.engine,
                proof,
                searchable,
            };
            let (found, _, more) = search.current(&query, TEXT_HITS_MAX)?;
            if more {
                return Err(TextViewError::TooManyHits);
            }
            let matches = found.into_iter().map(|hit| (hit.key, hit.version, hit.score));
            Ok(TextMatches {
                matches: matches.collect(),
                seq,
            })
        })
    }

    /// Runs a search on what can be searched of a view; has the index made anew when it fails below.
    fn on<T>(
        &self,
        view: &View,
        run: impl FnOnce(&Searchable, u64) -> Result<T, TextViewError>,
    ) -> Result<T, TextViewError> {
        // ORDER: how far it is, before the state that is searched, which is never older.
        let seq = view.progress().seq;
        let searchable = view.searchable().ok_or(TextViewError::Building)?;
        let found = guarded(|| run(&searchable, seq));
        if let Err(error @ TextViewError::Index(_)) = &found {
            tracing::warn!(bucket = %view.bucket, %error, "a search failed; the full-text index is made anew");
            view.failed();
            view.anew.store(true, std::sync::atomic::Ordering::SeqCst);
            self.shared.wake();
        }
        found
    }
}

struct Search<'a> {
    engine: &'a Engine,
    proof: &'a Authorized,
    searchable: &'a Searchable,
}

impl Search<'_> {
    fn page(&self, query: &Query, request: &SearchRequest, seq: u64) -> Result<SearchPage, TextViewError> {
        let wanted = request.skip + request.limit;
        let (found, plan, more) = self.current(query, wanted)?;
        let found = found.into_iter().skip(request.skip);
        let found: Vec<Hit> = found.take(request.limit).collect();
        let mut page = SearchPage {
            seq,
            ..SearchPage::default()
        };
        if !request.highlight && !request.documents {
            page.hits = found
                .into_iter()
                .map(|hit| answer(hit, Vec::new(), None))
                .collect();
            page.more = more;
            return Ok(page);
        }
        let mut bytes = 0;
        for hits in found.chunks(KEYS_AT_ONCE) {
            let keys: Vec<ObjectKey> = hits.iter().map(|hit| hit.key.clone()).collect();
            for (hit, head) in hits.iter().zip(self.engine.heads(self.proof, &keys, true)?) {
                // It may have been replaced since it was looked at.
                let head = head.filter(|head| head.version == hit.version);
                let Some((head, body)) = head.as_ref().and_then(|head| Some((head, head.body.as_ref()?)))
                else {
                    continue;
                };
                if bytes + body.len() > TEXT_ANSWER_BYTES_MAX && !page.hits.is_empty() {
                    page.more = true;
                    return Ok(page);
                }
                bytes += body.len();
                let highlights = if request.highlight {
                    self.highlights(&plan, body)
                } else {
                    Vec::new()
                };
                let document = if request.documents { head.document() } else { None };
                page.hits.push(answer(hit.clone(), highlights, document));
            }
        }
        page.more = more;
        Ok(page)
    }

    /// The best hits that are what the index says, and whether there are more than `wanted`.
    ///
    /// SECURITY: nothing counts before its key was held against the caller's prefixes and against the newest version,
    /// in a state of the bucket that is not older than the index.
    fn current(&self, query: &Query, wanted: usize) -> Result<(Vec<Hit>, Plan, bool), TextViewError> {
        let searcher = self.searchable.searcher();
        let plan = compile(
            query,
            &self.searchable.layout,
            &self.searchable.analysis,
            &searcher,
        )?;
        let prefixes = self.proof.visible_prefixes();
        if prefixes.as_ref().is_some_and(Vec::is_empty) {
            return Ok((Vec::new(), plan, false));
        }
        let mut limit = wanted.saturating_add(SLACK).min(TEXT_HITS_MAX);
        loop {
            let found = hits(self.searchable, &searcher, &plan, prefixes.as_deref(), limit)?;
            let is_all = found.len() < limit;
            let keys: Vec<ObjectKey> = found.iter().map(|hit| hit.key.clone()).collect();
            let heads = self.engine.heads(self.proof, &keys, false)?;
            let same = |(hit, head): (Hit, Option<wfldb_engine::Head>)| {
                head.is_some_and(|head| head.version == hit.version)
                    .then_some(hit)
            };
            let mut current: Vec<Hit> = found.into_iter().zip(heads).filter_map(same).collect();
            let more = current.len() > wanted;
            if more || is_all || limit == TEXT_HITS_MAX {
                current.truncate(wanted);
                // At the end of what a search looks at nobody knows.
                return Ok((current, plan, more || !is_all));
            }
            limit = limit.saturating_mul(4).min(TEXT_HITS_MAX);
        }
    }

    fn highlights(&self, plan: &Plan, body: &[u8]) -> Vec<Highlight> {
        let Ok(document) = serde_json::from_slice::<Object>(body) else {
            return Vec::new();
        };
        let none = BTreeSet::new();
        let fields = self.searchable.layout.config.fields.iter().enumerate();
        let of_field = |(number, field): (usize, &wfldb_core::text::TextField)| {
            let words = plan.marked.get(&number).unwrap_or(&none);
            highlights(
                &field.to_string(),
                &field.strings(&document),
                &self.searchable.analysis.stemmed,
                words,
            )
        };
        fields.flat_map(of_field).collect()
    }
}

fn answer(hit: Hit, highlights: Vec<Highlight>, document: Option<Bytes>) -> SearchHit {
    SearchHit {
        key: hit.key,
        version: hit.version,
        score: hit.score,
        highlights,
        document,
    }
}
