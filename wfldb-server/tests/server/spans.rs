//! The way of one PUT is spans of known names in a known order.

use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::harness::{Ask, BOTH, Store};

const WAY: [&str; 7] = [
    "listen::serve",
    "service::call",
    "net::route::parse",
    "auth::admit",
    "handlers::object::put",
    "engine::object::put",
    "engine::commit::commit",
];

/// A span as it was opened.
#[derive(Clone, Debug)]
struct Opened {
    name: &'static str,
    /// The names of those around it and its own, outermost first.
    way: Vec<&'static str>,
    /// The peer of the connection that it belongs to.
    peer: String,
}

static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

struct Collect;

/// What the outermost span says about its peer; other tests of this binary have connections of their own.
struct Peer(String);

impl Visit for Peer {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "peer" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() && WAY.contains(&metadata.name())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        if attributes.metadata().name() == "listen::serve" {
            let mut peer = Peer(String::new());
            attributes.record(&mut peer);
            span.extensions_mut().insert(peer);
        }
        let scope: Vec<_> = span.scope().from_root().collect();
        let peer = scope[0].extensions().get::<Peer>().map(|peer| peer.0.clone());
        let way = scope
            .iter()
            .map(tracing_subscriber::registry::SpanRef::name)
            .collect();
        let opened = Opened {
            name: attributes.metadata().name(),
            way,
            peer: peer.unwrap_or_default(),
        };
        OPENED.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_of_one_put_is_seven_spans_in_order() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Collect)).unwrap();
    let store = Store::photos().await;
    for http in BOTH {
        let stream = store.connect().await;
        let peer = stream.local_addr().unwrap().to_string();
        let ask = Ask::new("PUT", &format!("/v1/photos/{http:?}"))
            .over(http)
            .body("x");
        let body = http_body_util::Full::new(bytes::Bytes::from("x"));
        let response = store.open_on(stream, &ask, ask.sign(&store.admin), body).await;
        assert_eq!(response.status(), StatusCode::CREATED);

        let opened: Vec<Opened> = OPENED
            .lock()
            .unwrap()
            .iter()
            .filter(|opened| opened.peer == peer)
            .cloned()
            .collect();
        // Another test's connection may have had the port before, to a server of its own.
        let begin = opened.iter().rposition(|opened| opened.name == "listen::serve");
        let opened = &opened[begin.unwrap()..];
        let names: Vec<&str> = opened.iter().map(|opened| opened.name).collect();
        assert_eq!(names, WAY);
        // They hang together, across the threads: routing and admission are over when the handler begins.
        assert_eq!(opened[3].way, ["listen::serve", "service::call", "auth::admit"]);
        assert_eq!(
            opened[6].way,
            [
                "listen::serve",
                "service::call",
                "handlers::object::put",
                "engine::object::put",
                "engine::commit::commit"
            ]
        );
    }
}
