//! Whether the profile's packet allows a request, and what decides.

use wfldb_client::{Client, DryRunAnswer, DryRunNeed, DryRunQuestion};

use super::args::DryRun;
use super::exit::{Code, Failure};
use super::output::{Output, shown};

pub(crate) async fn dry_run(client: &Client, output: &Output, args: &DryRun) -> Result<(), Failure> {
    let question = DryRunQuestion {
        method: args.method,
        target: args.target.clone(),
        object: args.bytes.map(|bytes| (bytes, args.content_type.clone())),
        peer: args.peer,
    };
    let answer = client.dry_run(&question).await?;
    output.line(
        || words(&answer),
        || serde_json::to_value(&answer).unwrap_or_default(),
    )?;
    if answer.allowed {
        Ok(())
    } else {
        Err(Failure::Reported(Code::Refused))
    }
}

fn words(answer: &DryRunAnswer) -> String {
    let verdict = if answer.allowed { "allowed" } else { "denied" };
    let lines = answer.needs.iter().flat_map(need);
    std::iter::once(verdict.to_owned())
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

fn need(need: &DryRunNeed) -> Vec<String> {
    let place = [need.bucket.as_deref(), need.key.as_deref()];
    let place = place.into_iter().flatten().collect::<Vec<_>>().join("/");
    let mut lines = vec![
        format!("{} {}", shown(&need.op), shown(&place))
            .trim_end()
            .to_owned(),
    ];
    for (number, link) in need.links.iter().enumerate() {
        let says = match (link.grant, &link.objection) {
            (Some(grant), _) if link.undecided.is_empty() => format!("grant {grant} allows it"),
            (Some(grant), _) => format!("grant {grant} allows it within {}", link.undecided.join(" ")),
            (None, Some(member)) => format!("no grant allows it, by `{member}`"),
            (None, None) => "has no grants".to_owned(),
        };
        lines.push(format!("  link {number}: {}", shown(&says)));
    }
    lines
}
