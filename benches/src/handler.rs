//! A server that does nothing: PUT bodies are read and dropped, GET answers a body of the wanted size.

use std::io::Write;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

use crate::Failure;
use crate::body::{Outgoing, Served};

/// How much is sent at once.
const PIECE_BYTES: u64 = 256 << 10;

/// Serves until the process is ended; prints `host:port` first.
pub(crate) async fn serve(size: u64) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    std::io::stdout().flush()?;
    let piece = Bytes::from(vec![b'x'; usize::try_from(size.min(PIECE_BYTES))?]);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let piece = piece.clone();
        tokio::spawn(async move {
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .http2()
                .timer(TokioTimer::new())
                .initial_stream_window_size(8 << 20)
                .initial_connection_window_size(16 << 20)
                .max_frame_size(256 << 10)
                .max_send_buf_size(4 << 20);
            let service = service_fn(move |request| answer(request, piece.clone(), size));
            // A client that hangs up is the usual end.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, piece: Bytes, size: u64) -> Served {
    let get = request.method() == Method::GET;
    let mut incoming = request.into_body();
    while let Some(Ok(_)) = incoming.frame().await {}
    Ok(Response::new(if get {
        Outgoing::repeated(piece, size)
    } else {
        Outgoing::empty()
    }))
}
