//! One request from its parts to its answer: lease a connection, stamp, sign or tag, send, read the refusal, decide
//! whether to send again.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use wfldb_core::auth::Method;
use wfldb_core::encoding::percent;
use wfldb_core::id::{KeyId, Nonce, PacketHash, SecretKey};
use wfldb_core::name::{Audience, BucketName, ObjectKey};
use wfldb_core::request::{RequestToSign, RequestToTag, sign, tag};
use wfldb_core::session::{ExchangeSecret, complete};
use wfldb_core::time::UnixMillis;
use wfldb_net::session::{decode_offer, encode_asked};

use crate::Error;
use crate::clock::Clock;
use crate::error::ApiError;
use crate::outgoing::{Progress, Source, digest};
use crate::pool::{Lost, Pool, SILENCE_MAX};
use crate::problem;
use crate::retry::{Failure, RetryPolicy, Safety, Verdict};
use crate::session::{Live, OPEN_WAIT, Refused, Sessions};

/// A problem+json document is small; a listing page of 1000 items with long keys is not.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;
/// The largest page: 1000 items with the longest keys and tags, escaped.
pub(crate) const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a request consists of before it is stamped and signed. Every header given here is signed.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) source: Source,
    pub(crate) safety: Safety,
    /// A read that a session may make.
    pub(crate) by_session: bool,
    pub(crate) progress: Option<Progress>,
    /// How long neither side may move before the request counts as lost.
    pub(crate) silence_max: Duration,
}

impl Call {
    pub(crate) fn new(method: Method, path: String) -> Self {
        let read = matches!(method, Method::Get | Method::Head);
        let safety = if read { Safety::Read } else { Safety::Write };
        Self {
            method,
            path,
            query: String::new(),
            headers: Vec::new(),
            source: Source::Empty,
            safety,
            by_session: false,
            progress: None,
            silence_max: SILENCE_MAX,
        }
    }

    /// The protocol lets a session make this read.
    pub(crate) fn by_session(mut self) -> Self {
        self.by_session = true;
        self
    }

    pub(crate) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.query = percent::encode_query(pairs);
        self
    }
}

pub(crate) fn bucket_path(bucket: &BucketName) -> String {
    format!("/v1/{bucket}")
}

pub(crate) fn object_path(bucket: &BucketName, key: &ObjectKey) -> String {
    format!("/v1/{bucket}/{}", percent::encode_path_segmentwise(key.as_str()))
}

/// The head of a 2xx answer and its body, still to be read.
pub(crate) struct Answer {
    pub(crate) parts: Parts,
    pub(crate) body: Incoming,
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Answer {
    pub(crate) async fn bytes(self) -> Result<Bytes, Error> {
        read_bounded(self.body, PAGE_BYTES_MAX).await
    }
}

/// Everything that signs and sends.
pub(crate) struct Caller {
    pub(crate) pool: Pool,
    pub(crate) clock: Clock,
    pub(crate) policy: RetryPolicy,
    pub(crate) audience: Audience,
    pub(crate) packet: String,
    pub(crate) key: SecretKey,
    pub(crate) sessions: Sessions,
    /// The server's own key, where the profile names it.
    pub(crate) node: Option<KeyId>,
    /// What signed in its place, once something did: nothing is sent any more.
    pub(crate) stranger: OnceLock<KeyId>,
}

struct Failed {
    failure: Failure,
    error: Error,
    /// The answer named the session as unknown; of an answer to `HEAD` only its headers can.
    session_is_unknown: bool,
}

impl Failed {
    fn new(failure: Failure, error: Error) -> Self {
        Self {
            failure,
            error,
            session_is_unknown: false,
        }
    }

    /// Why a session's request was refused for being one; `None` when a signature would not have helped.
    fn of_session(&self) -> Option<Refused> {
        if self.error.status() != Some(401) || self.failure != Failure::Final {
            return None;
        }
        let code = self.error.code().unwrap_or_default();
        Some(match code {
            _ if self.session_is_unknown => Refused::Unknown,
            "SignatureRequired" => Refused::Strict,
            "Unauthenticated" if self.error.hint().is_none() => Refused::Tag,
            _ => Refused::Other,
        })
    }
}

impl Caller {
    /// Sends until it is answered 2xx, refused for good, or tried long enough.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let mut first_failure: Option<Instant> = None;
        let mut unanswered = false;
        let mut attempt = 1;
        loop {
            let failed = match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // The precondition that made resending safe may fail because the unanswered one was carried out.
            let repeatable = call.safety == Safety::Idempotent;
            if unanswered && failed.error.is_precondition() && !repeatable {
                let why = "a resend met its own precondition; the first attempt may have been carried out";
                return Err(Error::OutcomeUnknown(why.to_owned()));
            }
            unanswered |= failed.failure == Failure::NoAnswer;
            let failing_for = first_failure.get_or_insert_with(Instant::now).elapsed();
            let [jitter] = random::<1>()?;
            let policy = if self.pool.reached() {
                self.policy
            } else {
                self.policy.before_first_contact()
            };
            match policy.decide(failed.failure, call.safety, attempt, failing_for, jitter) {
                Verdict::Resend { after } => tokio::time::sleep(after).await,
                Verdict::Unknown => return Err(Error::OutcomeUnknown(failed.error.to_string())),
                // What can be repeated is answered the same each time, so the last answer is the answer.
                Verdict::GiveUp if repeatable && failed.failure == Failure::Final => return Err(failed.error),
                Verdict::GiveUp if unanswered && call.safety != Safety::Read => {
                    return Err(Error::OutcomeUnknown(failed.error.to_string()));
                }
                Verdict::GiveUp => return Err(failed.error),
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Failed> {
        self.check_node().map_err(fatal)?;
        let live = if call.by_session {
            self.session(&call.path).await
        } else {
            None
        };
        // SECURITY: whoever answers in the server's place gets no further request, not even one that is signed.
        self.check_node().map_err(fatal)?;
        let Some(live) = live else {
            return self.exchange(call, None).await;
        };
        let failed = match self.exchange(call, Some(&live)).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let Some(refused) = failed.of_session() else {
            return Err(failed);
        };
        // What a session is refused for is no failure of the request.
        self.sessions.refused(&live, &call.path, refused, Instant::now());
        self.exchange(call, None).await
    }

    /// The session for a read below this path, opened or renewed when it is time. One read opens it, the others go on
    /// with what there is.
    async fn session(&self, path: &str) -> Option<Arc<Live>> {
        let look = self.sessions.look(path, Instant::now());
        if !look.due {
            return look.live;
        }
        let Ok(_opening) = self.sessions.opening.try_lock() else {
            return look.live;
        };
        // Another read may have been quicker.
        let look = self.sessions.look(path, Instant::now());
        if !look.due {
            return look.live;
        }
        let opened = tokio::time::timeout(OPEN_WAIT, self.open_session()).await;
        match opened {
            Ok(Ok(live)) => {
                let live = Arc::new(live);
                self.sessions.opened(Arc::clone(&live));
                Some(live)
            }
            Ok(Err(failed)) => {
                let refused = failed.failure == Failure::Final;
                self.sessions.not_opened(refused, Instant::now());
                look.live
            }
            Err(_) => {
                self.sessions.not_opened(false, Instant::now());
                look.live
            }
        }
    }

    async fn open_session(&self) -> Result<Live, Failed> {
        match self.try_open_session().await {
            // The answer taught us the server's time.
            Err(failed) if failed.failure == Failure::ClockSkew => self.try_open_session().await,
            opened => opened,
        }
    }

    async fn try_open_session(&self) -> Result<Live, Failed> {
        let unfit = |why: &str| fatal(Error::Transport(format!("no session: {why}")));
        let secret = ExchangeSecret::from_bytes(random().map_err(fatal)?);
        let mut call = Call::new(Method::Post, "/v1/_session".to_owned());
        call.source = Source::of_bytes(encode_asked(secret.public()).into());
        let (asked, server_time) = (Instant::now(), self.clock.now());
        let answer = self.exchange(&call, None).await?;
        let body = read_bounded(answer.body, PROBLEM_BYTES_MAX)
            .await
            .map_err(fatal)?;
        let offer = decode_offer(&body).ok_or_else(|| unfit("the answer is no offer"))?;
        let packet = PacketHash::of(self.packet.as_bytes());
        let key =
            complete(&offer, secret, &self.audience, packet).map_err(|error| unfit(&error.to_string()))?;
        if self.node.as_ref().is_some_and(|node| *node != offer.node) {
            let _ = self.stranger.set(offer.node.clone());
            self.check_node().map_err(fatal)?;
        }
        Live::new(&offer, key, asked, server_time).ok_or_else(|| unfit("it would end at once"))
    }

    /// Fails once somebody has signed in the server's place.
    fn check_node(&self) -> Result<(), Error> {
        match (&self.node, self.stranger.get()) {
            (Some(expected), Some(found)) => Err(Error::OtherNode {
                expected: Box::new(expected.clone()),
                found: Box::new(found.clone()),
            }),
            _ => Ok(()),
        }
    }

    /// One request and its answer, signed, or tagged with the session's key.
    async fn exchange(&self, call: &Call, live: Option<&Live>) -> Result<Answer, Failed> {
        let transport = |lost| match lost {
            Lost::NotSent(why) => Failed::new(Failure::NotSent, Error::Transport(why)),
            Lost::NoAnswer(why) => Failed::new(Failure::NoAnswer, Error::Transport(why)),
            // Neither side changes its mind at a second look.
            Lost::Refused(failure) => fatal(Error::Tls {
                server: self.pool.endpoint().to_string(),
                failure,
            }),
        };
        let mut lease = self.pool.lease().await.map_err(transport)?;
        // ORDER: stamped and signed only now, after any wait for a connection or a free stream.
        let (body, meter) = call.source.body(call.progress.clone());
        let request = self.request(call, live).map_err(fatal)?;
        let (head, ()) = request.into_parts();
        let sent = self
            .pool
            .send(
                &mut lease,
                Request::from_parts(head, body),
                &meter,
                call.silence_max,
            )
            .await;
        let response = sent.map_err(|lost| {
            meter.take_back();
            meter.failure().map_or_else(|| transport(lost), fatal)
        })?;
        let (parts, body) = response.into_parts();
        let permit = lease.into_permit();
        if parts.status.is_success() {
            return Ok(Answer { parts, body, permit });
        }
        meter.take_back();
        Err(self.refusal(&parts, body).await)
    }

    pub(crate) fn request(&self, call: &Call, live: Option<&Live>) -> Result<Request<()>, Error> {
        let signed: Vec<(&str, &str)> = call
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let authority = self.pool.endpoint().authority();
        let scheme = self.pool.endpoint().scheme();
        let target = match call.query.as_str() {
            "" => format!("{scheme}://{authority}{}", call.path),
            query => format!("{scheme}://{authority}{}?{query}", call.path),
        };
        let mut request = Request::builder().method(call.method.as_str()).uri(target);
        match live {
            None => {
                for (name, value) in self.sign(call, &signed)? {
                    request = request.header(name, value);
                }
            }
            Some(live) => {
                for (name, value) in self.tag(call, &signed, live)? {
                    request = request.header(name, value);
                }
            }
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        request
            .body(())
            .map_err(|error| Error::Local(format!("the request cannot be built: {error}")))
    }

    fn sign(&self, call: &Call, headers: &[(&str, &str)]) -> Result<Vec<(String, String)>, Error> {
        let to_sign = RequestToSign {
            method: call.method,
            path: &call.path,
            query: &call.query,
            timestamp: self.clock.now(),
            nonce: Nonce::from_bytes(random()?),
            content: digest(&call.source),
            headers,
        };
        sign(&to_sign, &self.packet, &self.audience, &self.key)
            .map_err(|error| Error::Local(format!("the request cannot be signed: {error}")))
    }

    fn tag(
        &self,
        call: &Call,
        headers: &[(&str, &str)],
        live: &Live,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let to_tag = RequestToTag {
            method: call.method,
            path: &call.path,
            query: &call.query,
            timestamp: self.clock.now(),
            counter: live.counter(),
            content: digest(&call.source),
            headers,
        };
        tag(&to_tag, live.id, &self.audience, &live.key)
            .map_err(|error| Error::Local(format!("the request cannot be tagged: {error}")))
    }

    /// Reads an answer that is not 2xx.
    async fn refusal(&self, parts: &Parts, body: Incoming) -> Failed {
        let problem = read_bounded(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
        let api = problem_of(parts, &problem);
        let hinted = |word: &str| api.hint.as_deref() == Some(word) || api.code == word;
        let failure = match api.status {
            401 if hinted("ClockSkew") => {
                if let Some(server) =
                    header(&parts.headers, "x-wfldb-time").and_then(|text| UnixMillis::parse(text).ok())
                    && !self.clock.learn(server)
                {
                    return fatal(Error::Local(format!(
                        "this machine's clock is more than a day away from the server's, where it is {server}"
                    )));
                }
                Failure::ClockSkew
            }
            429 | 503 => Failure::Refused {
                retry_after: retry_after(&parts.headers),
            },
            500 if hinted("OutcomeUnknown") => Failure::OutcomeUnknown,
            // A gateway's or a bare 5xx says nothing about what happened behind it.
            500 if api.code.is_empty() => Failure::NoAnswer,
            502 | 504 => Failure::NoAnswer,
            _ => Failure::Final,
        };
        let challenge = header(&parts.headers, "www-authenticate").unwrap_or_default();
        let session_is_unknown = api.code == "SessionUnknown" || challenge.starts_with("WFLDB-B3MAC-1");
        Failed {
            session_is_unknown,
            ..Failed::new(failure, Error::Api(Box::new(api)))
        }
    }
}

fn fatal(error: Error) -> Failed {
    Failed::new(Failure::Final, error)
}

/// The problem, as JSON or FlatBuffers; where there is none (HEAD, or a refusal below the protocol), the bare status.
fn problem_of(parts: &Parts, body: &[u8]) -> ApiError {
    let problem = problem::read(header(&parts.headers, "content-type"), body);
    let status = parts.status;
    // The answer to HEAD has no body, so the status has to speak for itself.
    let plain = || {
        status
            .canonical_reason()
            .unwrap_or("refused by the server")
            .to_lowercase()
    };
    ApiError {
        status: status.as_u16(),
        code: problem.code.unwrap_or_default(),
        hint: problem.hint,
        request_id: problem
            .request_id
            .or_else(|| header(&parts.headers, "x-wfldb-request-id").map(str::to_owned)),
        detail: problem.detail.or(problem.title).unwrap_or_else(plain),
        entry: problem.entry,
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    header(headers, "retry-after")?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// The next piece of a body, or a transport error after too long a silence.
pub(crate) async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, body.frame())
            .await
            .map_err(|_| {
                Error::Transport(format!("the server sent nothing for {} s", SILENCE_MAX.as_secs()))
            })?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Error::Transport(format!("the answer was cut short: {error}"))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn read_bounded(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    while let Some(piece) = next_piece(&mut body).await? {
        if whole.len().saturating_add(piece.len()) > bytes_max {
            return Err(Error::Transport(format!(
                "the answer is longer than {bytes_max} bytes"
            )));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Local(format!("no random numbers: {error}")))?;
    Ok(bytes)
}
