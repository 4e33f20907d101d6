//! `cp`: single files and whole trees, up and down. The rules are stated in the long help (`args.rs`); the ones about
//! names, times and places are carried out by `wfldb_client::tree`.

mod down;
mod one;
mod tally;
mod up;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use wfldb_client::{Client, Error};

use super::args::Cp;
use super::exit::Failure;
use super::output::Output;
use super::target::Place;
use super::upload;
use tally::{Outcome, Tally};

/// Files above this size count for several, so that a few large ones do not hold all memory and disk at once.
const LARGE_BYTES: u64 = 8 * 1024 * 1024;

pub(crate) async fn copy(client: &Client, output: &Output, args: Cp) -> Result<(), Failure> {
    let (from, to) = (Place::parse(&args.from)?, Place::parse(&args.to)?);
    match (from, to, args.recursive) {
        (Place::Local(from), Place::Remote(to), true) => up::tree(client, output, &args, &from, &to).await,
        (Place::Remote(from), Place::Local(to), true) => down::tree(client, output, &args, &from, &to).await,
        (Place::Local(from), Place::Remote(to), false) => one::up(client, output, &args, &from, to).await,
        (Place::Remote(from), Place::Local(to), false) => one::down(client, output, &args, &from, to).await,
        (Place::Remote(from), Place::Remote(to), false) => one::across(client, output, &from, to).await,
        (Place::Remote(_), Place::Remote(_), true) => Err(Failure::Usage(
            "cp -r from remote to remote: copy down, then up".to_owned(),
        )),
        (Place::Local(_), Place::Local(_), _) => Err(Failure::Usage(
            "one side of cp must be remote: wfldb://BUCKET/KEY".to_owned(),
        )),
    }
}

/// The transfers in flight: started in order, bounded in number, their outcomes counted as they come.
struct Crew {
    places: Arc<Semaphore>,
    parallel: u32,
    working: JoinSet<Outcome>,
    tally: Tally,
    /// Set when going on makes no sense.
    stopped: Option<Error>,
}

impl Crew {
    fn new(output: &Output, args: &Cp, verb: &'static str) -> Self {
        Self {
            places: Arc::new(Semaphore::new(usize::try_from(args.parallel).unwrap_or(1))),
            parallel: args.parallel,
            working: JoinSet::new(),
            tally: Tally::new(output, args.verbose, verb),
            stopped: None,
        }
    }

    /// Waits for a place and starts one transfer. False when nothing more is to be started.
    async fn start(
        &mut self,
        len: u64,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Result<bool, Failure> {
        let weight = match len {
            // Several parts of it are on their way at once.
            _ if upload::is_large(len) => (self.parallel / 2).max(1),
            _ if len > LARGE_BYTES => (self.parallel / 4).max(1),
            _ => 1,
        };
        let place = Arc::clone(&self.places).acquire_many_owned(weight).await;
        self.collect_finished()?;
        if self.stopped.is_some() {
            return Ok(false);
        }
        self.working.spawn(async move {
            let _place: Result<OwnedSemaphorePermit, _> = place;
            work.await
        });
        Ok(true)
    }

    fn collect_finished(&mut self) -> Result<(), Failure> {
        while let Some(finished) = self.working.try_join_next() {
            self.count(finished)?;
        }
        Ok(())
    }

    fn count(&mut self, finished: Result<Outcome, tokio::task::JoinError>) -> Result<(), Failure> {
        let outcome = finished.map_err(|error| Error::Local(format!("a transfer ended early: {error}")))?;
        self.tally.add(&outcome)?;
        if let Outcome::Failed { error, .. } = outcome
            && error.stops_everything()
        {
            self.stopped.get_or_insert(error);
        }
        Ok(())
    }

    /// Waits for what is in flight and reports everything.
    async fn finish(mut self) -> Result<(), Failure> {
        while let Some(finished) = self.working.join_next().await {
            self.count(finished)?;
        }
        self.tally.report(self.stopped.as_ref())
    }
}
