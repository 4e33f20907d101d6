//! Revoking packets and keys, and what is revoked.

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::limits::REVOKE_BODY_BYTES_MAX;
use wfldb_core::revocation::order;
use wfldb_engine::RevocationInfo;
use wfldb_net::keys::{RevocationForm, RevocationList, RevokeAsked};
use wfldb_net::route::Parameters;

use super::{Call, admit, blocking, request, signed, structured, whole_body};
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// `POST /v1/_keys`.
pub(super) async fn revoke(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let (json, _share) = whole_body(&app, &authorized, body, REVOKE_BODY_BYTES_MAX).await?;
        let asked = RevokeAsked::decode(&json).ok_or(Fault::Body)?;
        let order = order(&authorized, &app.gate.asked(asked)?)?;
        let pending = blocking(&app, move |app| Ok(app.engine.revoke(&authorized, order))).await?;
        let revoked = pending.await?;
        let form = RevocationForm {
            new: Some(revoked.new),
            ..RevocationForm::of(&revoked.what, &revoked.terms)
        };
        respond::json(StatusCode::OK, &form)
    };
    rest.instrument(debug_span!("handlers::keys::revoke")).await
}

/// `GET /v1/_keys`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let span = || debug_span!("handlers::keys::list");
    structured(call, span, |app, admitted, _| {
        let Parameters::Revocations(query) = admitted.parameters else {
            return Err(Fault::Body);
        };
        let page = app
            .engine
            .revocations(&admitted.authorized, query.after, query.limit)?;
        let last = page.items.last().map(|last| last.what.to_string());
        let answer = RevocationList {
            items: page.items.iter().map(form).collect(),
            cursor: last.filter(|_| page.more),
        };
        respond::json(StatusCode::OK, &answer)
    })
    .await
}

fn form(info: &RevocationInfo) -> RevocationForm {
    RevocationForm {
        at: Some(info.at.to_string()),
        by: Some(info.by.clone()),
        ..RevocationForm::of(&info.what, &info.terms)
    }
}
