//! Transactions: reads and writes over many keys and buckets that happen all together or not at all, in closures that are
//! run again when others came first.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use wfldb_core::auth::Method;
use wfldb_core::id::TxId;
use wfldb_core::limits::{TX_IDLE_MS, TX_LOCK_MS};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{Preconditions, Tags};
use wfldb_net::batch::{BatchAction, BatchEntry};
use wfldb_net::tx::{TxAction, TxAnswer, TxBucket, TxOp, TxRequest, TxResult, TxWrite};

use crate::bucket::parse;
use crate::call::{Answer, Call, random};
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// How often a closure is run, at most.
const ATTEMPTS_MAX: u32 = 16;
/// The longest pause before it is run again.
const PAUSE_MS_MAX: u64 = 500;

/// What a transaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The buckets that were written in, by name, each with its number of the change.
    pub buckets: Vec<TxBucket>,
    /// The keys that were written, in the order in which they were written last.
    pub writes: Vec<TxWrite>,
}

/// A transaction that is open. Dropping it aborts it; what it was to write is seen by nobody.
#[derive(Debug)]
pub struct Transaction {
    client: Client,
    id: TxId,
    over: bool,
}

/// What a closure does in a transaction: a future that any task may run, spawned ones too.
///
/// It borrows the transaction for `'t`, and may borrow from around the closure for `'a`.
pub struct Steps<'a, 't, T> {
    future: Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 't>>,
    /// Says that `'a` is at least as long as `'t`, for every transaction that the closure is given.
    around: PhantomData<&'t &'a ()>,
}

impl<'t, T> Steps<'_, 't, T> {
    /// The steps of an `async move` block. What it borrows is borrowed outside of the closure: `let bucket = &bucket;`.
    pub fn new(future: impl Future<Output = Result<T, Error>> + Send + 't) -> Self {
        Self {
            future: Box::pin(future),
            around: PhantomData,
        }
    }
}

impl<T> Future for Steps<'_, '_, T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(context)
    }
}

impl<T> fmt::Debug for Steps<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

/// Nothing that a transaction does before its commit is done, whatever became of the request.
fn before_commit(error: Error) -> Error {
    match error {
        Error::OutcomeUnknown(why) => Error::Transport(why),
        error => error,
    }
}

fn tries_again(error: &Error) -> bool {
    matches!(error.code(), Some("TransactionConflict" | "Deadlock"))
}

impl Client {
    /// Runs `body` in a transaction and commits it; when something that it read was overtaken, or it was ended to resolve a
    /// deadlock, again from the start, 16 times at most, with pauses. An error of `body` ends the transaction without a
    /// trace. So `body` should do nothing that it cannot do twice.
    ///
    /// ```no_run
    /// # async fn example(client: wfldb_client::Client) -> Result<(), wfldb_client::Error> {
    /// use wfldb_client::Steps;
    /// use wfldb_core::name::{BucketName, ObjectKey};
    ///
    /// let moved = tokio::spawn(async move {
    ///     let bucket = &BucketName::parse("accounts").unwrap();
    ///     let [from, to] = &["ann", "bob"].map(|key| ObjectKey::parse(key).unwrap());
    ///     client
    ///         .transaction(|tx| {
    ///             Steps::new(async move {
    ///                 for (key, by) in [(from, -10), (to, 10)] {
    ///                     let found = tx.get(bucket, key).await?.unwrap_or_default();
    ///                     let balance: i64 = String::from_utf8_lossy(&found).parse().unwrap_or(0);
    ///                     tx.put(bucket, key, (balance + by).to_string()).await?;
    ///                 }
    ///                 Ok(())
    ///             })
    ///         })
    ///         .await
    /// });
    /// moved.await.unwrap()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `body`; `Api` with code `TransactionConflict` after the last attempt; `OutcomeUnknown` when the commit was not
    /// answered: it is not sent again, read back.
    pub async fn transaction<'a, T>(
        &self,
        mut body: impl for<'t> FnMut(&'t mut Transaction) -> Steps<'a, 't, T>,
    ) -> Result<(T, Committed), Error> {
        let mut attempt = 1;
        loop {
            let mut tx = self.begin().await?;
            let done = match body(&mut tx).await {
                Ok(value) => tx.commit().await.map(|committed| (value, committed)),
                Err(error) => {
                    tx.abort().await;
                    Err(error)
                }
            };
            match done {
                Err(error) if tries_again(&error) && attempt < ATTEMPTS_MAX => {}
                done => return done,
            }
            let [jitter] = random::<1>()?;
            let most = (5 << attempt.min(10)).min(PAUSE_MS_MAX);
            tokio::time::sleep(Duration::from_millis(most * u64::from(jitter) / 255)).await;
            attempt += 1;
        }
    }

    /// Begins a transaction on what is committed by now. It ends by itself when it lies idle for 30 seconds.
    ///
    /// # Errors
    /// `Api` (429 and 503 when too many are open), `Transport`.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        let request = TxRequest::Begin {
            idle_ms: TX_IDLE_MS,
            ops: Vec::new(),
        };
        // One that was begun and not answered ends by itself.
        let answer = self.ask_tx(&request, Safety::Idempotent).await;
        let id = answer.map_err(before_commit)?.tx.ok_or_else(not_understood)?;
        Ok(Transaction {
            client: self.clone(),
            id,
            over: false,
        })
    }

    async fn ask_tx(&self, request: &TxRequest, safety: Safety) -> Result<TxAnswer, Error> {
        parse(&self.send_tx(request, safety).await?.bytes().await?)
    }

    async fn send_tx(&self, request: &TxRequest, safety: Safety) -> Result<Answer, Error> {
        let mut call = Call::new(Method::Post, "/v1/_tx".to_owned());
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(request.to_json().into());
        call.safety = safety;
        self.caller.send(&call).await
    }
}

fn not_understood() -> Error {
    Error::Transport("the server's answer is not understood".to_owned())
}

impl Transaction {
    /// Carries out operations in one request, in order: all of what they write, or nothing of it.
    ///
    /// # Errors
    /// `Api`, with [`Error::refused_entry`]; the transaction goes on, unless the code is `TransactionConflict` or
    /// `Deadlock`. `Transport`: it is not known whether the operations are in; nothing is written for good, begin again.
    pub async fn run(&mut self, ops: Vec<TxOp>) -> Result<Vec<TxResult>, Error> {
        let expected = ops.len();
        let request = TxRequest::Run { tx: self.id, ops };
        let answer = self.client.ask_tx(&request, Safety::Write).await;
        let results = answer.map_err(before_commit)?.results.unwrap_or_default();
        if results.len() == expected {
            Ok(results)
        } else {
            Err(not_understood())
        }
    }

    async fn one(&mut self, bucket: &BucketName, action: TxAction) -> Result<TxResult, Error> {
        let op = TxOp {
            bucket: bucket.clone(),
            action,
        };
        self.run(vec![op]).await?.pop().ok_or_else(not_understood)
    }

    /// The bytes at a key as the transaction sees it; `None`: nothing is there.
    ///
    /// # Errors
    /// As [`Transaction::run`].
    pub async fn get(&mut self, bucket: &BucketName, key: &ObjectKey) -> Result<Option<Bytes>, Error> {
        let found = self.one(bucket, TxAction::Get(key.clone())).await?;
        match found.found {
            Some(false) => Ok(None),
            _ => found.bytes().map(Some).ok_or_else(not_understood),
        }
    }

    /// Is to store bytes at a key.
    ///
    /// # Errors
    /// As [`Transaction::run`].
    pub async fn put(
        &mut self,
        bucket: &BucketName,
        key: &ObjectKey,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        let put = BatchAction::Put {
            body: body.into(),
            content_type: None,
            tags: Tags::default(),
        };
        self.write(bucket, key, put).await
    }

    /// Is to delete a key, if something is there.
    ///
    /// # Errors
    /// As [`Transaction::run`].
    pub async fn delete(&mut self, bucket: &BucketName, key: &ObjectKey) -> Result<(), Error> {
        self.write(bucket, key, BatchAction::Delete).await
    }

    async fn write(
        &mut self,
        bucket: &BucketName,
        key: &ObjectKey,
        action: BatchAction,
    ) -> Result<(), Error> {
        let entry = BatchEntry {
            key: key.clone(),
            preconditions: Preconditions::default(),
            action,
        };
        self.one(bucket, TxAction::Write(entry)).await.map(drop)
    }

    /// Waits for a lock on a key, ten seconds at most; it is held until the transaction is over.
    ///
    /// # Errors
    /// As [`Transaction::run`]; codes `LockTimeout` and `Deadlock`.
    pub async fn lock(&mut self, bucket: &BucketName, key: &ObjectKey, exclusive: bool) -> Result<(), Error> {
        let lock = TxAction::Lock {
            key: key.clone(),
            exclusive,
            wait_ms: TX_LOCK_MS,
        };
        self.one(bucket, lock).await.map(drop)
    }

    /// Sets a savepoint.
    ///
    /// # Errors
    /// As [`Transaction::run`].
    pub async fn savepoint(&mut self, name: &str) -> Result<(), Error> {
        let request = TxRequest::Savepoint {
            tx: self.id,
            name: name.to_owned(),
        };
        let answer = self.client.ask_tx(&request, Safety::Write).await;
        answer.map(drop).map_err(before_commit)
    }

    /// Takes back what was written since the newest savepoint of that name.
    ///
    /// # Errors
    /// As [`Transaction::run`].
    pub async fn roll_back_to(&mut self, name: &str) -> Result<(), Error> {
        let request = TxRequest::Rollback {
            tx: self.id,
            to: name.to_owned(),
        };
        // Twice is as good as once.
        let answer = self.client.ask_tx(&request, Safety::Idempotent).await;
        answer.map(drop).map_err(before_commit)
    }

    /// Commits. When this returns `Ok`, all of it is on stable storage.
    ///
    /// # Errors
    /// `Api` (409 `TransactionConflict`: something that was read was overtaken, begin again), `OutcomeUnknown` when it was sent
    /// and not answered: it is not sent again, read back.
    pub async fn commit(mut self) -> Result<Committed, Error> {
        self.over = true;
        let request = TxRequest::Commit {
            tx: self.id,
            ops: Vec::new(),
        };
        let answer = self.client.send_tx(&request, Safety::Write).await?;
        let read = answer.bytes().await.and_then(|body| parse::<TxAnswer>(&body));
        // It was answered 2xx, so it happened; an answer that does not say what happened leaves that open.
        let answer = read.map_err(|error| Error::OutcomeUnknown(error.to_string()))?;
        Ok(Committed {
            buckets: answer.buckets.unwrap_or_default(),
            writes: answer.writes.unwrap_or_default(),
        })
    }

    /// Ends it, nothing of it. What cannot be said to the server now ends there by itself.
    pub async fn abort(mut self) {
        self.over = true;
        let abort = TxRequest::Abort { tx: self.id };
        let _ = self.client.ask_tx(&abort, Safety::Idempotent).await;
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Its locks and its place end with it; without a runtime it ends by itself.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (client, abort) = (self.client.clone(), TxRequest::Abort { tx: self.id });
        runtime.spawn(async move {
            let _ = client.ask_tx(&abort, Safety::Idempotent).await;
        });
    }
}
