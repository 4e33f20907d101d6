//! `wfldb-admin`, the operator's command line: arguments in, one call, one report out.

mod audit;
mod backups;
mod mirror;
mod reach;
mod revoke;
mod store;
mod tls;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;
use wfldb_admin::{Error, Subject, Term, Verdict, create_key_file, inspect, issue, load_key_file, renew};
use wfldb_client::profile::{create_secret_file, new_key};
use wfldb_client::{Endpoint, Profile, parse_grant};
use wfldb_core::id::{KeyId, Role, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::packet::TrustedRoots;
use wfldb_core::time::UnixMillis;

/// A packet or profile is far smaller.
const INSPECTED_BYTES_MAX: u64 = 64 * 1024;

/// Makes keys, issues and renews key packets, looks into them; takes, checks and restores backups; checks
/// and compacts stores; copies and checks audit logs; checks mirrors and takes them back; makes certificates for trying TLS.
#[derive(Debug, Parser)]
#[command(
    name = "wfldb-admin",
    version,
    after_help = "Exit codes: 0 done, 1 failed or refused, 2 wrong usage"
)]
struct Arguments {
    /// Write JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key pair: the secret goes to a new file (mode 0600), the key id is printed
    Keygen(Keygen),
    /// Issue a key packet, or with --new-key a whole profile
    Issue(Box<Issue>),
    /// Show what a packet says, and whether it would be believed
    Inspect(Inspect),
    /// Give a profile a new term: same key, same grants; the file is replaced atomically
    Renew(Renew),
    /// Take a backup of a running server or of a stopped store; verify and list backups. Full-text indexes are not in it:
    /// they are made again from the restored store
    Backup(backups::Backup),
    /// Make a store of a backup, in a new directory
    Restore(backups::Restore),
    /// Check every row and chunk of a store against each other; exit code 1 when anything is wrong
    Verify(store::Verify),
    /// Check the plain files that are kept beside a store
    #[command(subcommand)]
    Mirror(Box<mirror::Mirror>),
    /// End a packet or a key: whoever holds it is refused from then on, and whoever it was passed on to
    Revoke(revoke::Revoke),
    /// List what is revoked
    Revoked(reach::Reach),
    /// Figures of a running server's store
    Stats(reach::Reach),
    /// Have a running server give back space: merge its storage, remove chunk files that nothing names
    Compact(reach::Reach),
    /// Copy and check the audit log, prove single changes; all but the copying works offline
    Audit(Box<audit::Audit>),
    /// Make a private authority and certificates of it, for TLS; keys go to new files (mode 0600)
    Tls(tls::Tls),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Root,
    Issuer,
    Client,
    Node,
}

#[derive(Debug, Args)]
struct Keygen {
    /// What the key is for
    #[arg(long, value_enum, default_value = "client")]
    role: RoleName,
    /// Where the secret goes; ROLE.key in the current directory when left out. Never overwritten
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("holder").required(true))]
struct Issue {
    /// The root key's file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Key id of the holder, who has the secret; the packet alone is written
    #[arg(long, value_name = "ID", group = "holder")]
    sub: Option<String>,
    /// Make a key for the holder; a profile is written (needs --url and --out)
    #[arg(long, group = "holder", requires = "url", requires = "out")]
    new_key: bool,
    /// Take the holder's key from a file; a profile is written (needs --url and --out)
    #[arg(
        long,
        value_name = "FILE",
        group = "holder",
        requires = "url",
        requires = "out"
    )]
    sub_key: Option<PathBuf>,
    /// Role of a key given with --new-key or --sub-key
    #[arg(long, value_enum, default_value = "client")]
    role: RoleName,
    /// The store's realm, as in server.json
    #[arg(long)]
    realm: String,
    /// What is allowed: 'b=photos,p=2024/,ops=get+list'; b=* is all buckets, ops=all all operations. Optional:
    /// `max_bytes` `rate` `quota_bytes` `create_only` cidr `content_type`. Repeatable
    #[arg(long, value_name = "GRANT", required = true)]
    grant: Vec<String>,
    /// Days from now on
    #[arg(long, default_value_t = 90)]
    days: u64,
    /// How often the holder may pass it on, 0 to 3
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    dlg: u8,
    /// The server's URL, for the profile
    #[arg(long)]
    url: Option<String>,
    /// Where packet or profile go (mode 0600, never overwritten); a packet goes to standard output when left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Inspect {
    /// A packet, or a file with one, or a profile
    packet: String,
    /// Root key id to believe; repeatable
    #[arg(long, value_name = "wr1…")]
    trust: Vec<String>,
}

#[derive(Debug, Args)]
struct Renew {
    /// The root key's file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The profile to renew
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Days from now on; as long as before when left out
    #[arg(long)]
    days: Option<u64>,
}

/// What a command prints.
struct Done {
    human: String,
    json: serde_json::Value,
    code: u8,
}

fn main() -> ExitCode {
    if let Some(code) = reach::probe() {
        return code;
    }
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Keygen(args) => keygen(&args),
        Command::Issue(args) => run_issue(&args),
        Command::Inspect(args) => run_inspect(&args),
        Command::Renew(args) => run_renew(&args),
        Command::Backup(args) => backups::backup(args),
        Command::Restore(args) => backups::restore(&args),
        Command::Verify(args) => store::verify(args),
        Command::Mirror(command) => mirror::run(*command, arguments.json),
        Command::Revoke(args) => revoke::revoke(args),
        Command::Revoked(args) => revoke::revoked(args),
        Command::Stats(args) => store::stats(args),
        Command::Compact(args) => store::compact(args),
        Command::Audit(args) => audit::audit(*args),
        Command::Tls(args) => tls::tls(&args),
    };
    match done {
        Ok(done) => {
            let text = if arguments.json {
                done.json.to_string()
            } else {
                done.human
            };
            match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
                Ok(()) => done.code.into(),
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            let text = if arguments.json {
                json!({"error": {"message": error.to_string()}}).to_string()
            } else {
                format!("wfldb-admin: {error}")
            };
            // There is nowhere to complain that standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
            if matches!(error, Error::Usage(_)) {
                2.into()
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            Self::Root => Role::Root,
            Self::Issuer => Role::Issuer,
            Self::Client => Role::Client,
            Self::Node => Role::Node,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Root => "root.key",
            Self::Issuer => "issuer.key",
            Self::Client => "client.key",
            Self::Node => "node.key",
        }
    }
}

fn keygen(args: &Keygen) -> Result<Done, Error> {
    let (key, role) = (new_key()?, args.role.role());
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(args.role.file()));
    create_key_file(&path, &key, role)?;
    let id = key.key_id(role).to_string();
    Ok(Done {
        human: format!("{id}\nthe secret key is in {}", path.display()),
        json: json!({"id": id, "file": path.to_string_lossy()}),
        code: 0,
    })
}

fn run_issue(args: &Issue) -> Result<Done, Error> {
    let usage = |what: &str, error: &dyn std::fmt::Display| Error::Usage(format!("{what}: {error}"));
    let root = load_key_file(&args.key)?;
    let realm = Realm::parse(&args.realm).map_err(|error| usage("--realm", &error))?;
    let grants = args
        .grant
        .iter()
        .map(|text| parse_grant(text).map_err(|error| Error::Usage(error.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    let endpoint = args.url.as_deref().map(Endpoint::parse).transpose();
    let endpoint = endpoint.map_err(|error| usage("--url", &error))?;
    let holder_key: Option<SecretKey> = match &args.sub_key {
        Some(path) => Some(load_key_file(path)?),
        None if args.new_key => Some(new_key()?),
        None => None,
    };
    let holder = match (&holder_key, &args.sub) {
        (Some(key), _) => key.key_id(args.role.role()),
        (None, Some(id)) => KeyId::parse(id).map_err(|error| usage("--sub", &error))?,
        (None, None) => return Err(Error::Usage("--sub, --new-key or --sub-key is needed".to_owned())),
    };
    let subject = Subject {
        holder: holder.clone(),
        realm: realm.clone(),
        delegation: args.dlg,
    };
    let packet = issue(&root, &subject, grants, Term::days(now(), args.days)?)?;
    let profile = match (holder_key, endpoint) {
        (Some(key), Some(endpoint)) => Some(Profile {
            endpoint,
            realm,
            packet: packet.clone(),
            key,
            node: None,
        }),
        _ => None,
    };
    let text = match &profile {
        Some(profile) => profile.to_text()?,
        None => format!("{packet}\n").into(),
    };
    let what = if profile.is_some() { "profile" } else { "packet" };
    Ok(match &args.out {
        Some(path) => {
            create_secret_file(path, &text)?;
            Done {
                human: format!("{holder}\nthe {what} is in {}", path.display()),
                json: json!({"holder": holder.to_string(), "file": path.to_string_lossy()}),
                code: 0,
            }
        }
        // Only a packet comes here: a profile needs --out, since it holds a secret.
        None => Done {
            human: packet.clone(),
            json: json!({"holder": holder.to_string(), "packet": packet}),
            code: 0,
        },
    })
}

fn run_inspect(args: &Inspect) -> Result<Done, Error> {
    let usage = |error: &dyn std::fmt::Display| Error::Usage(format!("--trust: {error}"));
    let parse = |id: &String| match KeyId::parse(id) {
        Ok(id) if id.role() == Role::Root => Ok(id),
        Ok(_) => Err(usage(&"is not a root's key id (wr1…)")),
        Err(error) => Err(usage(&error)),
    };
    let roots = args.trust.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let trust = (!roots.is_empty()).then(|| TrustedRoots::new(roots));
    let path = Path::new(&args.packet);
    let (packet, key) = if path.exists() {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(INSPECTED_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| Error::Usage(format!("{}: {error}", path.display())))?;
        if text.trim_start().starts_with('{') {
            let profile = Profile::load(path)?;
            (profile.packet, Some(profile.key))
        } else {
            (text.trim().to_owned(), None)
        }
    } else {
        (args.packet.clone(), None)
    };
    let report = inspect(&packet, trust.as_ref(), key.as_ref(), now())?;
    let refused = matches!(report.verdict, Verdict::Refused(_));
    Ok(Done {
        human: report.human(),
        json: report.json(),
        code: u8::from(refused),
    })
}

fn run_renew(args: &Renew) -> Result<Done, Error> {
    let root = load_key_file(&args.key)?;
    // Where the profile is a link, what it points at is renewed, and the link stays.
    let path = args
        .profile
        .canonicalize()
        .map_err(|error| Error::Usage(format!("{}: {error}", args.profile.display())))?;
    let profile = renew(&root, Profile::load(&path)?, now(), args.days)?;
    profile.save(&path)?;
    let report = inspect(&profile.packet, None, Some(&profile.key), now())?;
    let expires = report.json().get("expires").cloned().unwrap_or_default();
    Ok(Done {
        human: format!(
            "renewed {}, valid until {}",
            path.display(),
            expires.as_str().unwrap_or_default()
        ),
        json: json!({"file": path.to_string_lossy(), "expires": expires}),
        code: 0,
    })
}
