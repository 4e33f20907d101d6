//! One request on behalf of somebody else: signed here, answered there, and the answer passed on as it is.

use http::response::Parts;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use wfldb_core::time::UnixMillis;

use crate::Error;
use crate::call::{Call, Caller, header};
use crate::pool::Lost;

/// The head of any answer and its body, still to be read.
pub(crate) struct Forwarded {
    pub(crate) parts: Parts,
    pub(crate) body: Incoming,
    /// Keeps the place on the connection while the body is read.
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Caller {
    /// Signs and sends once. Where the answer is 401 and shows that our clock is off, once more with the server's time:
    /// what was refused so was not carried out.
    pub(crate) async fn forward(&self, call: &Call) -> Result<Forwarded, Error> {
        let answer = self.forward_once(call).await?;
        let server = header(&answer.parts.headers, "x-wfldb-time");
        let server = server.and_then(|text| UnixMillis::parse(text).ok());
        let refused = answer.parts.status == StatusCode::UNAUTHORIZED;
        let Some(server) = server.filter(|_| refused) else {
            return Ok(answer);
        };
        let off = server.get().abs_diff(self.clock.now().get());
        if off > CLOCK_OFF_MS && self.clock.learn(server) {
            return self.forward_once(call).await;
        }
        Ok(answer)
    }

    async fn forward_once(&self, call: &Call) -> Result<Forwarded, Error> {
        let transport = |lost| match lost {
            Lost::NotSent(why) | Lost::NoAnswer(why) => Error::Transport(why),
            Lost::Refused(failure) => Error::Tls {
                server: self.pool.endpoint().to_string(),
                failure,
            },
        };
        let mut lease = self.pool.lease().await.map_err(transport)?;
        let (body, meter) = call.source.body(None);
        let (head, ()) = self.request(call, None)?.into_parts();
        let request = Request::from_parts(head, body);
        let sent = self
            .pool
            .send(&mut lease, request, &meter, call.silence_max)
            .await;
        let response = sent.map_err(|lost| meter.failure().unwrap_or_else(|| transport(lost)))?;
        let (parts, body) = response.into_parts();
        Ok(Forwarded {
            parts,
            body,
            permit: lease.into_permit(),
        })
    }
}

/// A clock that is off by less is not why a request was refused.
const CLOCK_OFF_MS: u64 = 2_000;
