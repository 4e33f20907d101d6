//! The full-text indexes of the store, and what they say in the shapes of the wire.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wfldb_core::auth::Authorized;
use wfldb_core::doc::Value;
use wfldb_core::id::Seq;
use wfldb_core::limits::TEXT_WAIT_MS_MAX;
use wfldb_core::object::BucketConfig;
use wfldb_core::text::SearchRequest;
use wfldb_engine::{Engine, EngineError, TextMatch};
use wfldb_net::search::{SearchAnswer, SearchHighlight, SearchItem, SearchStatus};
use wfldb_text::{SearchHit, TextProgress, TextState, TextViewError, TextViews};

use super::{Matches, SearchFault, TextFigures};
use crate::app::App;
use crate::fault::Fault;
use crate::handlers::blocking;

/// The indexes, until the server stops.
#[derive(Debug)]
pub(crate) struct Text(Mutex<Option<TextViews>>);

impl From<TextViewError> for Fault {
    fn from(error: TextViewError) -> Self {
        match error {
            TextViewError::Engine(error) => Self::Engine(error),
            TextViewError::Request(error) => SearchFault::Request(error).into(),
            TextViewError::NotIndexed => SearchFault::NotIndexed.into(),
            TextViewError::Building => SearchFault::Building.into(),
            TextViewError::Behind(seq) => SearchFault::Behind(seq).into(),
            TextViewError::TooManyHits => SearchFault::TooManyHits.into(),
            TextViewError::Index(why) => SearchFault::Failed(why).into(),
        }
    }
}

impl Text {
    /// Begins to keep the indexes. A store that takes no writes has none.
    pub(crate) fn start(engine: &Engine) -> Self {
        let started = TextViews::start(engine);
        if let Err(error) = &started {
            tracing::error!(%error, "there is no full text: its worker did not start");
        }
        Self(Mutex::new(started.ok()))
    }

    /// Ends the worker, and with the last search the hold on the store.
    pub(crate) fn stop(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn views(&self) -> Result<TextViews, Fault> {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        views.ok_or(Fault::Engine(EngineError::Closing))
    }

    /// A bucket's configuration was changed.
    pub(crate) fn look(&self) {
        if let Ok(views) = self.views() {
            views.look();
        }
    }

    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the same call as that of a server without it"
    )]
    pub(crate) fn check(&self, _: &BucketConfig) -> Result<(), SearchFault> {
        Ok(())
    }

    pub(crate) fn figures(&self) -> Vec<TextFigures> {
        let Ok(views) = self.views() else {
            return Vec::new();
        };
        let figures = views.figures().into_iter();
        figures
            .map(|(bucket, progress)| TextFigures {
                bucket,
                behind: progress.behind,
                documents: progress.documents,
                made: progress.made,
                failures: progress.failures,
            })
            .collect()
    }

    /// Waits until the index has come to a `seq`, for a bounded time.
    pub(crate) async fn wait(&self, app: &Arc<App>, proof: &Arc<Authorized>, seq: Seq) -> Result<(), Fault> {
        let (views, proof) = (self.views()?, Arc::clone(proof));
        let mut until = blocking(app, move |_| Ok(views.until(&proof, seq)?)).await?;
        let at_most = Duration::from_millis(TEXT_WAIT_MS_MAX);
        match tokio::time::timeout(at_most, until.reached()).await {
            Ok(reached) => Ok(reached?),
            Err(_) => Err(until.behind().into()),
        }
    }

    pub(crate) fn search(&self, proof: &Authorized, request: &SearchRequest) -> Result<SearchAnswer, Fault> {
        let page = self.views()?.search(proof, request)?;
        Ok(SearchAnswer {
            items: page.hits.into_iter().map(item).collect(),
            more: page.more,
            seq: page.seq,
        })
    }

    /// All that a search finds, for the rest of a selector with `$text`.
    pub(crate) fn matches(&self, proof: &Authorized, request: &SearchRequest) -> Result<Matches, Fault> {
        let found = self.views()?.matches(proof, request)?;
        let matches = found.matches.into_iter();
        Ok(Matches {
            found: matches
                .map(|(key, version, score)| TextMatch { key, version, score })
                .collect(),
            seq: found.seq,
        })
    }

    pub(crate) fn status(&self, proof: &Authorized) -> Result<SearchStatus, Fault> {
        Ok(shown(self.views()?.progress(proof)?))
    }

    pub(crate) fn rebuild(&self, proof: &Authorized) -> Result<(), Fault> {
        Ok(self.views()?.make_anew(proof)?)
    }
}

fn shown(progress: TextProgress) -> SearchStatus {
    let state = match progress.state {
        TextState::Making => "making",
        TextState::Ready => "ready",
        TextState::Failing => "failing",
    };
    SearchStatus {
        state: state.to_owned(),
        seq: progress.seq,
        behind: progress.behind,
        documents: progress.documents,
        made: progress.made,
        failures: progress.failures,
    }
}

fn item(hit: SearchHit) -> SearchItem {
    let highlights = hit.highlights.into_iter().map(|place| SearchHighlight {
        field: place.field,
        pieces: place.pieces,
    });
    SearchItem {
        key: hit.key,
        version: hit.version,
        score: hit.score,
        highlights: highlights.collect(),
        document: hit
            .document
            .and_then(|text| serde_json::from_slice::<Value>(&text).ok()),
    }
}
