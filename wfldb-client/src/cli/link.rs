//! Making links.

use serde_json::json;
use wfldb_client::{LinkRequest, Profile};
use wfldb_core::name::KeyPrefix;
use wfldb_core::packet::{UrlLinkKeys, UrlLinkMethod};

use super::args::{LinkArgs, LinkFor};
use super::delegate::now;
use super::exit::Failure;
use super::output::Output;

pub(crate) fn link(profile: &Profile, output: &Output, args: &LinkArgs) -> Result<(), Failure> {
    let usage = |why: &str| Err(Failure::Usage(why.to_owned()));
    let method = match args.method {
        LinkFor::Get if args.max_size.is_some() => return usage("--max-size is for links to put"),
        LinkFor::Put if args.prefix => return usage("--prefix is for links to get"),
        LinkFor::Get => UrlLinkMethod::Get,
        LinkFor::Put => UrlLinkMethod::Put,
    };
    let keys = if args.prefix {
        let prefix =
            KeyPrefix::parse(&args.target.rest).map_err(|error| Failure::Usage(error.to_string()))?;
        if prefix.is_all() {
            return usage("--prefix needs the beginning of keys: BUCKET/PREFIX");
        }
        UrlLinkKeys::Prefix(prefix)
    } else {
        UrlLinkKeys::Key(args.target.key()?)
    };
    let asked = LinkRequest {
        method,
        bucket: args.target.bucket.clone(),
        keys,
        seconds: args.expires,
        uses: args.uses,
        max_bytes: args.max_size,
    };
    let made = profile.link(&asked, now())?;
    let expires = made.expires.to_string();
    output.line(
        || made.url.clone(),
        || json!({"url": made.url, "method": method.as_str(), "expires": expires, "uses": args.uses}),
    )?;
    Ok(())
}
