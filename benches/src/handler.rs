//! Servers that stand for limits of ours. The empty handler does nothing: PUT bodies are read and dropped, GET answers a
//! body of the wanted size. The open handler stores and reads objects by our engine, as our server does, and asks nobody
//! who they are.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_RANGES, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ContentDigest, ObjectHeaders, Preconditions, format_etag};
use wfldb_engine::{Engine, EngineOptions, ObjectReader, Which};
use wfldb_net::{date, header};

use crate::Failure;
use crate::body::{Outgoing, Served};

/// How much is sent at once.
const PIECE_BYTES: u64 = 256 << 10;
/// The bucket of the open handler.
const BUCKET: &str = "bench";

/// Serves until the process is ended; prints `host:port` first.
async fn serve<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static) -> Result<(), Failure>
where
    F: Future<Output = Served> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http2()
                .timer(TokioTimer::new())
                .initial_stream_window_size(8 << 20)
                .initial_connection_window_size(16 << 20)
                .max_frame_size(256 << 10)
                .max_send_buf_size(4 << 20);
            // A client that hangs up is the usual end.
            let _ = builder
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

/// The empty handler, for bodies of this size.
pub(crate) async fn serve_empty(size: u64) -> Result<(), Failure> {
    let piece = Bytes::from(vec![b'x'; usize::try_from(size.min(PIECE_BYTES))?]);
    serve(move |request| empty(request, piece.clone(), size)).await
}

async fn empty(request: Request<Incoming>, piece: Bytes, size: u64) -> Served {
    let get = request.method() == Method::GET;
    let mut incoming = request.into_body();
    while let Some(Ok(_)) = incoming.frame().await {}
    Ok(Response::new(if get {
        Outgoing::repeated(piece, size)
    } else {
        Outgoing::empty()
    }))
}

/// The open handler, on a new store in `dir`.
pub(crate) async fn serve_open(dir: &Path) -> Result<(), Failure> {
    let dir = dir.to_owned();
    let opened = spawn_blocking(move || Engine::open(&dir, EngineOptions::default()));
    let engine = Arc::new(opened.await??);
    let bucket = Target::Bucket(BucketName::parse(BUCKET)?);
    let manages = Authorized::local("bench", Op::Manage, bucket);
    engine.put_bucket(&manages, BucketConfig::default()).await?;
    serve(move |request| {
        let engine = Arc::clone(&engine);
        async move {
            let answer = open(engine, request).await;
            Ok(answer.unwrap_or_else(|error| {
                eprintln!("the open handler: {error}");
                let mut refused = Response::new(Outgoing::empty());
                *refused.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
                refused
            }))
        }
    })
    .await
}

/// What our server does for the same request once it knows who asks.
async fn open(engine: Arc<Engine>, request: Request<Incoming>) -> Result<Response<Outgoing>, Failure> {
    let key = request.uri().path().rsplit('/').next().unwrap_or_default();
    let target = Target::Key(BucketName::parse(BUCKET)?, ObjectKey::parse(key)?);
    if request.method() == Method::GET {
        let proof = Authorized::local("bench", Op::Get, target);
        if let Some(reader) = engine.object_cached(&proof)? {
            return found(reader);
        }
        return spawn_blocking(move || found(engine.object(&proof, Which::Newest)?)).await?;
    }
    let proof = Authorized::local("bench", Op::Put, target);
    let body = request.into_body().collect().await?.to_bytes();
    let pending = spawn_blocking(move || {
        let mut upload = engine.begin_upload(&proof, ContentDigest::of(&body))?;
        upload.write(&body)?;
        let stored = upload.finish()?;
        let headers = ObjectHeaders::default();
        Ok::<_, Failure>(engine.put(&proof, stored, headers, Preconditions::default()))
    });
    pending.await??.await?;
    Ok(Response::new(Outgoing::empty()))
}

fn found(mut reader: ObjectReader) -> Result<Response<Outgoing>, Failure> {
    let body = reader.next()?.unwrap_or_default();
    let meta = reader.meta();
    let mut answer = Response::builder()
        .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
        .header(ETAG, format_etag(&meta.etag))
        .header(header::VERSION, meta.version.to_string())
        .header(header::SEQ, meta.seq.to_string())
        .header(LAST_MODIFIED, date::format(meta.modified))
        .header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in meta.headers.to_pairs() {
        answer = answer.header(name, value);
    }
    Ok(answer.body(Outgoing::Whole(Some(body)))?)
}
