//! The listener for Prometheus: `GET /metrics` on an address of its own, never on the data port.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::app::App;

/// Scrapers at once.
const CONNECTIONS_MAX: usize = 16;
/// A connection lives for a scrape or a few, no longer.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(1);
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the server has stopped.
pub(crate) async fn serve(app: Arc<App>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            continue;
        };
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| answer(Arc::clone(&app), request));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(15));
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // How a scraper's connection ends is of no interest.
            let _ = tokio::time::timeout(CONNECTION_AGE_MAX, connection).await;
        });
    }
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::new()));
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else {
        let text = tokio::task::spawn_blocking(move || {
            app.metrics
                .text(&app.engine, app.budget.feeds(), &app.text, app.mirror.status())
        })
        .await;
        *response.body_mut() = Full::new(text.unwrap_or_default().into());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(TEXT));
    }
    Ok(response)
}
