//! `revoke` and `revoked`: ending packets and keys, and what is ended, through a running server.

use std::path::Path;

use clap::Args;
use serde_json::json;
use wfldb_admin::Error;
use wfldb_client::{RevocationForm, RevokeAsked, link_in, packet_in};
use wfldb_core::id::{KeyId, PacketHash, Role};

use crate::Done;
use crate::reach::{Reach, connected};

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    reach: Reach,
    /// A file with a packet or profile, the hash of a packet or link (64 hex digits), a link's URL, or a key id (wc1…, wi1…,
    /// wr1…)
    #[arg(value_name = "WHAT")]
    what: String,
    /// Needed to revoke a root key: every packet that it signed ends, this profile's among them
    #[arg(long)]
    root: bool,
}

pub(crate) fn revoke(args: Revoke) -> Result<Done, Error> {
    let asked = asked(&args.what, args.root)?;
    let form = connected(args.reach, async |client| client.revoke(&asked).await)?;
    let verb = if form.new == Some(false) {
        "was revoked already, or is over:"
    } else {
        "revoked"
    };
    Ok(Done {
        human: format!("{verb} {}", words(&form)),
        json: json!(form),
        code: 0,
    })
}

fn asked(what: &str, root: bool) -> Result<RevokeAsked, Error> {
    if what.contains("?link=") {
        return Ok(RevokeAsked::Link(link_in(what).to_owned()));
    }
    let path = Path::new(what);
    if path.exists() {
        return Ok(RevokeAsked::Packet(packet_in(path)?));
    }
    if let Ok(hash) = PacketHash::parse(what) {
        return Ok(RevokeAsked::Hash(hash));
    }
    match KeyId::parse(what) {
        Ok(id) if id.role() == Role::Root && !root => {
            let why =
                "this is a root key: every packet that it signed would end, for good. Give --root to do it";
            Err(Error::Usage(why.to_owned()))
        }
        Ok(id) => Ok(RevokeAsked::Key(id.public_key().clone())),
        Err(_) => {
            let why = "WHAT is no file that is there, no hash of a packet and no key id";
            Err(Error::Usage(why.to_owned()))
        }
    }
}

/// Every page of what is revoked.
pub(crate) fn revoked(reach: Reach) -> Result<Done, Error> {
    let items = connected(reach, async |client| {
        let mut page = client.revocations(None).await?;
        let mut items = std::mem::take(&mut page.items);
        while let Some(cursor) = &page.cursor {
            page = client.revocations(Some(cursor)).await?;
            items.append(&mut page.items);
        }
        Ok(items)
    })?;
    let lines: Vec<String> = items.iter().map(line).collect();
    Ok(Done {
        human: if lines.is_empty() {
            "nothing is revoked".to_owned()
        } else {
            lines.join("\n")
        },
        json: json!({"items": items}),
        code: 0,
    })
}

fn words(form: &RevocationForm) -> String {
    match (&form.packet_hash, &form.key, &form.link) {
        (Some(hash), _, _) => format!("packet {hash}"),
        (None, Some(key), None) => format!("key {key}"),
        (None, Some(key), Some(link)) => format!("key {key} below link {link}"),
        (None, None, _) => "something that this release does not know".to_owned(),
    }
}

fn line(form: &RevocationForm) -> String {
    let said = |member: &Option<String>| member.clone().unwrap_or_else(|| "?".to_owned());
    let kept = form
        .kept_until
        .as_ref()
        .map_or_else(String::new, |until| format!(", kept until {until}"));
    format!("{} by {}: {}{kept}", said(&form.at), said(&form.by), words(form))
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::SecretKey;

    use super::*;

    /// A defect it catches: a root key that is revoked by a slip.
    #[test]
    fn what_is_named_is_a_file_a_hash_or_a_key() {
        let key = SecretKey::from_seed([3; 32]);
        let hash = PacketHash::of(b"x");
        assert_eq!(asked(&hash.to_string(), false).unwrap(), RevokeAsked::Hash(hash));
        let id = key.key_id(Role::Client).to_string();
        assert_eq!(asked(&id, false).unwrap(), RevokeAsked::Key(key.public_key()));
        let root = key.key_id(Role::Root).to_string();
        assert!(asked(&root, false).is_err());
        assert_eq!(asked(&root, true).unwrap(), RevokeAsked::Key(key.public_key()));
        assert!(asked("/no/such/file", false).is_err());
        let link = asked("https://x/v1/photos/a?link=a.b.c", false).unwrap();
        assert_eq!(link, RevokeAsked::Link("a.b.c".to_owned()));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("packet");
        std::fs::write(&file, "a.b.c\n").unwrap();
        let named = asked(&file.to_string_lossy(), false).unwrap();
        assert_eq!(named, RevokeAsked::Packet("a.b.c".to_owned()));
    }
}
