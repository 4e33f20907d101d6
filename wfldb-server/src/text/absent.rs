//! A server without full text: whatever asks for it is refused, and told how to get it.

use std::sync::Arc;

use wfldb_core::auth::Authorized;
use wfldb_core::id::Seq;
use wfldb_core::object::BucketConfig;
use wfldb_core::text::SearchRequest;
use wfldb_engine::Engine;
use wfldb_net::search::{SearchAnswer, SearchStatus};

use super::{Matches, SearchFault, TextFigures};
use crate::app::App;
use crate::fault::Fault;

/// Nothing.
#[derive(Debug)]
pub(crate) struct Text;

#[expect(
    clippy::unused_self,
    reason = "the same calls as those of a server that has it"
)]
impl Text {
    pub(crate) fn start(_: &Engine) -> Self {
        Self
    }

    pub(crate) fn stop(&self) {}

    pub(crate) fn look(&self) {}

    pub(crate) fn figures(&self) -> Vec<TextFigures> {
        Vec::new()
    }

    /// Refuses a configuration that this server would not carry out.
    pub(crate) fn check(&self, config: &BucketConfig) -> Result<(), SearchFault> {
        match config.text {
            Some(_) => Err(SearchFault::NotBuilt),
            None => Ok(()),
        }
    }

    #[expect(
        clippy::unused_async,
        reason = "the same calls as those of a server that has it"
    )]
    pub(crate) async fn wait(&self, _: &Arc<App>, _: &Arc<Authorized>, _: Seq) -> Result<(), Fault> {
        Err(SearchFault::NotBuilt.into())
    }

    pub(crate) fn search(&self, _: &Authorized, _: &SearchRequest) -> Result<SearchAnswer, Fault> {
        Err(SearchFault::NotBuilt.into())
    }

    pub(crate) fn matches(&self, _: &Authorized, _: &SearchRequest) -> Result<Matches, Fault> {
        Err(SearchFault::NotBuilt.into())
    }

    pub(crate) fn status(&self, _: &Authorized) -> Result<SearchStatus, Fault> {
        Err(SearchFault::NotBuilt.into())
    }

    pub(crate) fn rebuild(&self, _: &Authorized) -> Result<(), Fault> {
        Err(SearchFault::NotBuilt.into())
    }
}
