//! Opening a session.

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::limits::SESSION_BODY_BYTES_MAX;
use wfldb_net::session::{OfferForm, decode_asked};

use super::{Call, admit, request, signed, whole_body};
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// `POST /v1/_session`. It only computes, so it runs here.
pub(super) async fn open(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let (json, _share) = whole_body(&app, &authorized, body, SESSION_BODY_BYTES_MAX).await?;
        let client = decode_asked(&json).ok_or(Fault::Body)?;
        let offer = app.gate.open_session(&authorized, client, &app.clock)?;
        respond::json(StatusCode::OK, &OfferForm::from(&offer))
    };
    rest.instrument(debug_span!("handlers::session::open")).await
}
