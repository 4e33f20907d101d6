//! What a packet would say to another request. The store is not asked, so nothing can be learned but what the caller's
//! own packet says.

use http::StatusCode;
use tracing::{Instrument as _, debug_span};
use wfldb_core::auth::Forbidden;
use wfldb_net::dry_run::{DryRunAnswer, QUESTION_BYTES_MAX, Question};

use super::{Call, admit, request, signed, whole_body};
use crate::fault::Fault;
use crate::respond::{self, Reply};

/// `POST /v1/_dryrun`.
pub(super) async fn dry_run(call: Call) -> Result<Reply, Fault> {
    let Call { app, knock, body, .. } = call;
    let authorized = admit(&app, knock).await?.authorized;
    let rest = async {
        let _in_flight = app.budget.enter(&authorized)?;
        signed::check(request(&authorized)?, signed::STRUCTURE)?;
        let (json, _share) = whole_body(&app, &authorized, body, QUESTION_BYTES_MAX).await?;
        let question = Question::parse(&json).map_err(|_| Fault::Body)?;
        let answer = authorized.dry_run(&question.inquiry());
        let answer = answer.ok_or(Fault::Forbidden(Forbidden))?;
        respond::json(StatusCode::OK, &DryRunAnswer::from(&answer))
    };
    rest.instrument(debug_span!("handlers::dry_run::dry_run")).await
}
