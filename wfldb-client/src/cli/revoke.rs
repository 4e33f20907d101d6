//! Ending a packet that was passed on, or a key in what was passed on.

use serde_json::to_value;
use wfldb_client::{Client, RevocationForm, RevokeAsked, link_in, packet_in, parse_key};

use super::args::Revoke;
use super::exit::Failure;
use super::output::{Output, shown};

pub(crate) async fn revoke(client: &Client, output: &Output, args: &Revoke) -> Result<(), Failure> {
    let asked = match (&args.link, &args.packet, &args.key) {
        (Some(link), ..) => RevokeAsked::Link(link_in(link).to_owned()),
        (None, None, _) => return Err(Failure::Usage("FILE or --link is needed".to_owned())),
        (None, Some(packet), None) => RevokeAsked::Packet(packet_in(packet)?),
        (None, Some(packet), Some(id)) => {
            let packet = packet_in(packet)?;
            let key = parse_key(id).ok_or_else(|| Failure::Usage("--key: not a key id".to_owned()))?;
            RevokeAsked::Below(packet, key)
        }
    };
    let form = client.revoke(&asked).await?;
    Ok(output.line(|| words(&form), || to_value(&form).unwrap_or_default())?)
}

fn words(form: &RevocationForm) -> String {
    let what = match (&form.packet_hash, &form.key) {
        (Some(hash), _) => format!("packet {hash}"),
        (None, Some(key)) => format!("key {key}"),
        (None, None) => "it".to_owned(),
    };
    let verb = if form.new == Some(false) {
        "was revoked already, or is over:"
    } else {
        "revoked"
    };
    shown(&format!("{verb} {what}")).to_string()
}
