//! A write on its way to stable storage.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::commit::plan::{Applied, Outcome};
use crate::error::EngineError;

/// The answer to a write: await it, or [`Pending::wait`] on a thread that may block.
///
/// Dropping it does not take the write back.
#[must_use = "a write is known to be durable only by its answer"]
pub struct Pending<T> {
    state: State,
    finish: Box<dyn FnOnce(Applied) -> Result<T, EngineError> + Send>,
}

enum State {
    Refused(EngineError),
    Waiting(oneshot::Receiver<Outcome>),
    /// Nothing has to be waited for.
    Done,
    Answered,
}

impl<T> std::fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl<T> Pending<T> {
    pub(crate) fn new(
        outcome: oneshot::Receiver<Outcome>,
        finish: impl FnOnce(Applied) -> Result<T, EngineError> + Send + 'static,
    ) -> Self {
        Self {
            state: State::Waiting(outcome),
            finish: Box::new(finish),
        }
    }

    /// The answer to what needs no commit.
    pub(crate) fn done(answer: T) -> Self
    where
        T: Send + 'static,
    {
        Self {
            state: State::Done,
            finish: Box::new(|_| Ok(answer)),
        }
    }

    /// Blocks until the answer is there. Not for an async thread.
    ///
    /// # Errors
    /// As the operation that was asked for; [`EngineError::OutcomeUnknown`] when the committer died.
    pub fn wait(mut self) -> Result<T, EngineError> {
        let outcome = match std::mem::replace(&mut self.state, State::Answered) {
            State::Refused(error) => Err(error),
            State::Waiting(outcome) => outcome
                .blocking_recv()
                .unwrap_or(Err(EngineError::OutcomeUnknown)),
            State::Done => Ok(Applied::Nothing),
            State::Answered => Err(EngineError::OutcomeUnknown),
        };
        self.answered(outcome)
    }

    fn answered(&mut self, outcome: Outcome) -> Result<T, EngineError> {
        let finish = std::mem::replace(&mut self.finish, Box::new(|_| Err(EngineError::OutcomeUnknown)));
        outcome.and_then(finish)
    }
}

impl<T: 'static> From<EngineError> for Pending<T> {
    fn from(error: EngineError) -> Self {
        Self {
            state: State::Refused(error),
            finish: Box::new(|_| Err(EngineError::OutcomeUnknown)),
        }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, EngineError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.state {
            State::Waiting(outcome) => match Pin::new(outcome).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(outcome) => outcome.unwrap_or(Err(EngineError::OutcomeUnknown)),
            },
            State::Refused(error) => Err(error.clone()),
            State::Done => Ok(Applied::Nothing),
            State::Answered => Err(EngineError::OutcomeUnknown),
        };
        self.state = State::Answered;
        Poll::Ready(self.answered(outcome))
    }
}
