//! `POST /v1/{bucket}/_aggregate`: documents grouped. Rows are sent as they are made.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument as _, debug_span};
use wfldb_core::aggregate::Pipeline;
use wfldb_core::doc;
use wfldb_core::limits::QUERY_BYTES_MAX;
use wfldb_engine::{AggregateBudget, Aggregated, EngineError};
use wfldb_net::accept::{self, NotAcceptable, Representation};

use super::{Call, admit, blocking, request, signed, whole_body};
use crate::app::App;
use crate::body::{self, Pieces, ReplyBody, Watch};
use crate::fault::Fault;
use crate::respond::Reply;

/// Rows are gathered until there are so many bytes of them.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) async fn aggregate(call: Call) -> Result<Reply, Fault> {
    let Call {
        app,
        knock,
        body,
        form,
    } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let lines = match form? {
            Representation::Json => false,
            Representation::JsonLines => true,
            Representation::FlatBuffers => return Err(Fault::NotAcceptable(NotAcceptable)),
        };
        let (json, share) = whole_body(&app, &authorized, body, QUERY_BYTES_MAX).await?;
        let asked = doc::parse(&json).map_err(EngineError::from)?;
        let pipeline = Arc::new(Pipeline::parse(&asked).map_err(EngineError::from)?);
        let watch = Watch::of(&authorized, app.engine.revocation_view());
        let turn = app.budget.aggregation().await?;
        let run = move |app: &Arc<App>| {
            let _asked = share;
            let done = app
                .engine
                .aggregate(&authorized, pipeline, AggregateBudget::default())?;
            // Its turn lasts until the last row is sent, since the groups are in memory for so long; and as long as the work
            // does, whether or not the caller is still there.
            let mut text = Text::new(done, lines, turn);
            let len = text.measure();
            let first = text.next()?.unwrap_or_default();
            Ok((text, first, len))
        };
        let (text, first, len) = blocking(&app, run).await?;
        let body = if len == 0 {
            ReplyBody::whole(Bytes::new())
        } else {
            body::stream(Arc::clone(&app), first, text, len, watch)
        };
        let mut reply = Response::new(body.holding(in_flight));
        *reply.status_mut() = StatusCode::OK;
        let content_type = if lines { accept::JSON_LINES } else { accept::JSON };
        reply
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Ok(reply)
    };
    rest.instrument(debug_span!("handlers::aggregate::aggregate"))
        .await
}

/// The text of an answer, made piece by piece.
struct Text {
    done: Aggregated,
    lines: bool,
    /// The next row; one behind the last stands for what is behind the rows.
    at: usize,
    _turn: OwnedSemaphorePermit,
}

impl Text {
    fn new(done: Aggregated, lines: bool, turn: OwnedSemaphorePermit) -> Self {
        Self {
            done,
            lines,
            at: 0,
            _turn: turn,
        }
    }

    /// How long the text is, so that a reader can tell whether it has all of it. Makes every row once.
    fn measure(&mut self) -> u64 {
        let mut len = 0;
        while let Some(piece) = self.piece() {
            len += piece.len() as u64;
        }
        self.at = 0;
        len
    }

    fn piece(&mut self) -> Option<Vec<u8>> {
        let mut piece = Vec::new();
        while self.at <= self.done.rows.len() && piece.len() < PIECE_BYTES {
            match self.done.rows.row(self.at) {
                Some(row) => {
                    piece.extend(match (self.lines, self.at) {
                        (true, _) => b"".as_slice(),
                        (false, 0) => b"{\"rows\":[",
                        (false, _) => b",",
                    });
                    piece.extend(Value::Object(row).to_string().into_bytes());
                    piece.extend(if self.lines { b"\n".as_slice() } else { b"" });
                }
                None if self.lines => {}
                None => piece.extend(self.end()),
            }
            self.at += 1;
        }
        (!piece.is_empty()).then_some(piece)
    }

    fn end(&self) -> Vec<u8> {
        let Aggregated {
            rows,
            examined,
            matched,
            took,
        } = &self.done;
        let begin = if rows.is_empty() { "{\"rows\":[" } else { "" };
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let rest = json!({"examined": examined, "matched": matched, "took_ms": took_ms}).to_string();
        let rest = rest.strip_prefix('{').unwrap_or_default();
        format!("{begin}],{rest}").into_bytes()
    }
}

impl Pieces for Text {
    fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        Ok(self.piece().map(Bytes::from))
    }
}
