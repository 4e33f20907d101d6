//! `tls`: a private authority and certificates of it, as files in one directory.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use wfldb_admin::{Certificate, Error, Term, new_authority, new_client_certificate, new_server_certificate};
use wfldb_client::profile::{create_secret_file, read_secret_file, replace_secret_file};

use crate::{Done, now};

#[derive(Debug, Args)]
pub(crate) struct Tls {
    #[command(subcommand)]
    command: TlsCommand,
    /// Where the files are
    #[arg(long, global = true, value_name = "DIR", default_value = "wfldb-tls")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum TlsCommand {
    /// Make an authority: ca.pem for everybody, ca.key to sign with
    Ca {
        /// Days from now on
        #[arg(long, default_value_t = 3650)]
        days: u64,
    },
    /// Make a server's certificate: server.pem and server.key
    Server {
        /// A host name or IP address under which clients find the server; repeatable
        #[arg(long = "name", value_name = "NAME", required = true)]
        names: Vec<String>,
        /// Days from now on
        #[arg(long, default_value_t = 365)]
        days: u64,
        /// Replace the files that are there; a running server takes the new ones within seconds
        #[arg(long)]
        replace: bool,
    },
    /// Make a client's certificate: NAME.pem and NAME.key
    Client {
        /// Who it is for
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Days from now on
        #[arg(long, default_value_t = 365)]
        days: u64,
        /// Replace the files that are there
        #[arg(long)]
        replace: bool,
    },
}

pub(crate) fn tls(args: &Tls) -> Result<Done, Error> {
    let dir = &args.dir;
    match &args.command {
        TlsCommand::Ca { days } => {
            let authority = new_authority(Term::days(now(), *days)?)?;
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|error| Error::Usage(format!("{}: {error}", dir.display())))?;
            write_pair(dir, "ca", &authority, false)
        }
        TlsCommand::Server { names, days, replace } => {
            let server = new_server_certificate(&authority_key(dir)?, names, Term::days(now(), *days)?)?;
            let mut done = write_pair(dir, "server", &server, *replace)?;
            // Writing to a string does not fail.
            let _ = write!(done.human, "\nthe pin of its key, for --tls-pin: {}", server.pin);
            Ok(done)
        }
        TlsCommand::Client { name, days, replace } => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
            let is_taken = ["ca", "server"].contains(&name.as_str());
            if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) || is_taken {
                let why = "--name is letters, digits, and - _ . @, and neither `ca` nor `server`";
                return Err(Error::Usage(why.to_owned()));
            }
            let client = new_client_certificate(&authority_key(dir)?, name, Term::days(now(), *days)?)?;
            write_pair(dir, name, &client, *replace)
        }
    }
}

fn authority_key(dir: &Path) -> Result<zeroize::Zeroizing<String>, Error> {
    let path = dir.join("ca.key");
    if path.exists() {
        Ok(read_secret_file(&path)?)
    } else {
        let why = "is not there; make an authority with `wfldb-admin tls ca`";
        Err(Error::Usage(format!("{}: {why}", path.display())))
    }
}

/// Both files with mode 0600: the certificate is no secret, but whoever may read the key may as well read it.
fn write_pair(dir: &Path, name: &str, made: &Certificate, replace: bool) -> Result<Done, Error> {
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let write = if replace {
        replace_secret_file
    } else {
        create_secret_file
    };
    write(&key, &made.key)?;
    write(&certificate, &made.certificate)?;
    Ok(Done {
        human: format!("{}\n{}", certificate.display(), key.display()),
        json: json!({"certificate": certificate.to_string_lossy(), "key": key.to_string_lossy(), "pin": made.pin}),
        code: 0,
    })
}
